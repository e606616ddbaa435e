import { describe, expect, it } from '@jest/globals';
import type { StoredMessage } from '#libs/messaging';
import { deadLetterFrom, deadLetterId } from './dead-letter.js';

const attempts = [{ attempt: 1, atMs: 5, consumer: 'stock@host', error: 'boom' }];
const message: StoredMessage = {
  id: 'm-1',
  topic: '%DLQ%stock.confirm',
  tag: 'paid',
  key: 'order-1',
  partition: 0,
  offset: 7,
  headers: {
    traceparent: '00-1',
    'x-dead-letter-reason': 'retries-exhausted',
    'x-dead-letter-error': 'boom',
    'x-dead-letter-group': 'stock.confirm',
    'x-dead-letter-attempts': JSON.stringify(attempts),
    'x-dead-letter-at': '1700000000123',
    'x-dead-letter-origin': '{"topic":"order","partition":3,"offset":1204}',
  },
  body: Buffer.from('{}'),
  bornAtMs: 1_700_000_000_000,
  storedAtMs: 1_700_000_000_456,
  priority: 4,
};
const withHeaders = (headers: Record<string, string>): StoredMessage => ({ ...message, headers });

describe('a dead letter', () => {
  it('is told with its origin, cause and history, and with the original headers only', () => {
    expect(deadLetterFrom(message)).toEqual({
      id: deadLetterId('stock.confirm', 'm-1'),
      group: 'stock.confirm',
      messageId: 'm-1',
      topic: 'order',
      tag: 'paid',
      key: 'order-1',
      reason: 'retries-exhausted',
      error: 'boom',
      attempts,
      headers: { traceparent: '00-1' },
      body: message.body,
      bornAt: new Date(1_700_000_000_000),
      deadAt: new Date(1_700_000_000_123),
    });
  });

  it('has one id per group and message, safe in a URL whatever they hold', () => {
    expect(deadLetterId('a', 'b/c')).toMatch(/^[\w-]{22}$/);
    expect(deadLetterId('a', 'b')).toBe(deadLetterId('a', 'b'));
    expect(deadLetterId('a', 'b')).not.toBe(deadLetterId('a\0b', ''));
    expect(deadLetterId('a', 'b')).not.toBe(deadLetterId('b', 'b'));
  });

  it('is kept even when nothing is said about its end', () => {
    const record = deadLetterFrom(withHeaders({}));
    expect(record).toMatchObject({ group: 'stock.confirm', topic: '%DLQ%stock.confirm', reason: 'unknown' });
    expect(record.deadAt).toEqual(new Date(message.storedAtMs));
  });

  it.each(['', 'nonsense', '{"a":1}', '[{"attempt":"x"}]', '[null]'])(
    'is kept with attempts that cannot be read: %s',
    (unreadable) => {
      expect(deadLetterFrom(withHeaders({ 'x-dead-letter-attempts': unreadable })).attempts).toEqual([]);
    },
  );

  it('holds no character that Postgres refuses', () => {
    const record = deadLetterFrom({
      ...message,
      key: 'a\0b',
      headers: { x: 'lone \ud800', 'x-dead-letter-error': 'nul \0, pair \u{1f600}' },
    });
    expect(record.key).toBe('a\ufffdb');
    expect(record.headers).toEqual({ x: 'lone \ufffd' });
    expect(record.error).toBe('nul \ufffd, pair \u{1f600}');
  });

  it('is told with its own topic when its origin cannot be read', () => {
    for (const origin of ['nonsense', 'null', '[]', '{"topic":3}']) {
      expect(deadLetterFrom(withHeaders({ 'x-dead-letter-origin': origin })).topic).toBe(message.topic);
    }
  });

  it.each(['1e300', '8640000000000001', '9'.repeat(30)])(
    'has times that can be written and read, also when a header says %s',
    (far) => {
      const attempts = `[{"attempt":1,"atMs":${far},"consumer":"c","error":"e"}]`;
      const said = withHeaders({ 'x-dead-letter-at': far, 'x-dead-letter-attempts': attempts });
      const record = deadLetterFrom({ ...said, bornAtMs: Number(far) });
      for (const at of [record.bornAt, record.deadAt, new Date(record.attempts[0]!.atMs)]) {
        expect(at.toISOString()).toMatch(/^\d{4}-/);
      }
      expect(record.deadAt).toEqual(new Date(message.storedAtMs));
    },
  );

  it('takes the time of death in ISO 8601 or epoch milliseconds', () => {
    const iso = '2026-01-02T03:04:05.678Z';
    expect(deadLetterFrom(withHeaders({ 'x-dead-letter-at': iso })).deadAt.toISOString()).toBe(iso);
    expect(deadLetterFrom(withHeaders({ 'x-dead-letter-at': '5' })).deadAt.getTime()).toBe(5);
    expect(deadLetterFrom(withHeaders({ 'x-dead-letter-at': '?' })).deadAt.getTime()).toBe(
      message.storedAtMs,
    );
  });
});
