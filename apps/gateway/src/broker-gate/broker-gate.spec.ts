import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { pino } from 'pino';
import { MessagingError, type BrokerPort } from '#libs/messaging';
import type { GatewayConfig } from '../gateway.config.js';
import { BrokerGate } from './broker-gate.js';

const SUBMIT_TIMEOUT_MS = 300;

let gate: BrokerGate;
/** Whether the broker answers probes. */
let answers: boolean;
/** What becomes of a message; never anything while undefined. */
let store: (() => Promise<string>) | undefined;
let begun: number;

beforeEach(() => {
  jest.useFakeTimers();
  [answers, store, begun] = [true, () => Promise.resolve('stored'), 0];
  const ready = (): Promise<void> => (answers ? Promise.resolve() : Promise.reject(away()));
  gate = new BrokerGate(
    { ready } as unknown as BrokerPort,
    { SUBMIT_TIMEOUT_MS } as GatewayConfig,
    pino({ level: 'silent' }),
  );
});
afterEach(() => {
  jest.useRealTimers();
});

const away = (): MessagingError => new MessagingError('BROKER_UNAVAILABLE', 'not connected');
const send = (): Promise<string> => gate.send(() => store?.() ?? new Promise<never>(() => undefined));
/** A request that sends an order; its outcome, or the code of its failure. */
const request = (work: () => Promise<string> = send): Promise<string> =>
  gate
    .pass(() => {
      begun += 1;
      return work();
    })
    .catch((error: unknown) => (error as { code: string }).code);
const probed = (): Promise<void> => jest.advanceTimersByTimeAsync(1_000);

async function shut(): Promise<void> {
  [answers, store] = [false, () => Promise.reject(away())];
  expect(await request()).toBe('BROKER_UNAVAILABLE');
  begun = 0;
}

describe('while the broker is away', () => {
  test('nothing is begun, however often it does not answer', async () => {
    await shut();
    await probed();
    expect(await request()).toBe('SERVICE_UNAVAILABLE');
    expect(begun).toBe(0);
  });

  test('a receipt is waited for no longer than the timeout, and the next one is refused', async () => {
    [answers, store] = [false, undefined];
    const late = request();
    await jest.advanceTimersByTimeAsync(SUBMIT_TIMEOUT_MS);
    expect(await late).toBe('REQUEST_TIMEOUT');
    expect(await request()).toBe('SERVICE_UNAVAILABLE');
  });
});

describe('once it answers', () => {
  beforeEach(async () => {
    await shut();
    answers = true;
    await probed();
  });

  test('one request tries, and the others wait for what becomes of it', async () => {
    let taken: (receipt: string) => void = () => undefined;
    store = () => new Promise((resolve) => (taken = resolve));
    const first = request();
    expect(await request()).toBe('SERVICE_UNAVAILABLE');
    expect(begun).toBe(1);
    store = () => Promise.resolve('stored');
    taken('stored');
    expect(await first).toBe('stored');
    expect(await Promise.all([request(), request()])).toEqual(['stored', 'stored']);
  });

  test('and takes nothing all the same, it is shut again after the one that tried', async () => {
    expect(await request()).toBe('BROKER_UNAVAILABLE');
    expect(await request()).toBe('SERVICE_UNAVAILABLE');
    expect(begun).toBe(1);
  });

  test('a request that has nothing to send leaves the try to the next one', async () => {
    expect(await request(() => Promise.resolve('sold out'))).toBe('sold out');
    expect(await request(() => Promise.reject(Object.assign(new Error(), { code: 'INVALID' })))).toBe(
      'INVALID',
    );
    store = () => Promise.resolve('stored');
    expect(await request()).toBe('stored');
    expect(begun).toBe(3);
  });
});

test('a message that is refused for what it is keeps nobody else out', async () => {
  store = () => Promise.reject(new MessagingError('INVALID_PAYLOAD', 'never right'));
  expect(await request()).toBe('INVALID_PAYLOAD');
  store = () => Promise.resolve('stored');
  expect(await request()).toBe('stored');
});
