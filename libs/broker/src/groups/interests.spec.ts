import { describe, expect, it } from '@jest/globals';
import { deadLetterTopic, retryTopic } from '#libs/messaging/port';
import { Interest } from './interests.js';

const wants = (pattern: string, topic: string): boolean =>
  new Interest('g', [{ topic: pattern }]).wants(topic);

describe('a wildcard', () => {
  it('is for every topic that begins so', () => {
    expect(wants('*', 'order')).toBe(true);
    expect(wants('ord*', 'order')).toBe(true);
    expect(wants('ord*', 'billing')).toBe(false);
  });

  it('is for no retries and dead letters of other groups, unless it asks for those', () => {
    for (const topic of [retryTopic('other'), deadLetterTopic('other')]) {
      expect(wants('*', topic)).toBe(false);
      expect(wants('%*', topic)).toBe(true);
      expect(wants(topic, topic)).toBe(true);
    }
  });

  it('is never for the dead letters of its own group: each that dies again would come again', () => {
    expect(wants('%*', deadLetterTopic('g'))).toBe(false);
    expect(wants(`${deadLetterTopic('g').slice(0, 3)}*`, deadLetterTopic('g'))).toBe(false);
  });
});
