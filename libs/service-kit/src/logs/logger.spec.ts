import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import type { Logger } from 'pino';
import { createLogger } from './logger.js';

type Line = { level: string; msg: string; count?: number; orderNo?: string };
let lines: Line[];
let logger: Logger;

beforeEach(() => {
  jest.useFakeTimers();
  lines = [];
  logger = createLogger(
    { name: 'order', level: 'info' },
    { write: (line: string) => void lines.push(JSON.parse(line) as Line) },
  );
});
afterEach(() => void jest.useRealTimers());

describe('an error that comes again and again', () => {
  test('is said once, and then once a minute with its count and what came last', () => {
    for (let n = 0; n < 10_000; n += 1)
      logger.error({ err: new Error('no route to host'), orderNo: `A-${n}` }, 'not sent');
    expect(lines).toMatchObject([{ level: 'error', msg: 'not sent', orderNo: 'A-0' }]);
    jest.advanceTimersByTime(60_000);
    expect(lines.slice(1)).toMatchObject([
      {
        level: 'error',
        msg: 'not sent (9999 times more in the last minute)',
        count: 9_999,
        orderNo: 'A-9999',
      },
    ]);
    jest.advanceTimersByTime(60_000);
    expect(lines).toHaveLength(2);
    logger.error({ err: new Error('no route to host') }, 'not sent');
    expect(lines).toHaveLength(3);
  });

  test('does not hide another one, nor what reports no error', () => {
    const child = logger.child({ group: 'a' });
    for (let n = 0; n < 3; n += 1) {
      logger.error({ err: new Error('one') }, 'failed');
      child.error({ err: new Error('one') }, 'failed');
      logger.warn({ error: 'one' }, 'failed');
      logger.error({ cause: 'two' }, 'failed');
      logger.fatal({ err: new Error('one') }, 'the end');
      logger.info({ orderNo: 'A' }, 'accepted');
      logger.warn('plain');
    }
    const said = lines.map(({ level, msg }) => `${level} ${msg}`);
    expect(said.filter((line) => line === 'error failed')).toHaveLength(2);
    expect(said.filter((line) => line === 'warn failed')).toHaveLength(1);
    for (const line of ['fatal the end', 'info accepted', 'warn plain'])
      expect(said.filter((other) => other === line)).toHaveLength(3);
  });

  test('of more kinds than are remembered holds none back', () => {
    for (let n = 0; n < 1_000; n += 1) logger.error({ err: new Error(`number ${n}`) }, 'failed');
    expect(lines).toHaveLength(1_000);
  });
});
