import { afterEach, describe, expect, jest, test } from '@jest/globals';
import { Health, HealthController } from './health.js';

afterEach(() => {
  jest.useRealTimers();
});
function controller(register: (health: Health) => void): HealthController {
  const health = new Health();
  register(health);
  return new HealthController(health);
}

describe('a service is ready', () => {
  test('when all it depends on works, which it names', async () => {
    const answer = await controller((health) => health.register('redis', () => Promise.resolve())).ready();
    expect(answer).toEqual({ status: 'ok', checks: { redis: 'ok' } });
  });

  test('not while something of it fails, with the reason and the time to ask again', async () => {
    const ready = controller((health) => {
      health.register('redis', () => Promise.resolve());
      health.register('database', () => Promise.reject(new Error('no route to host')));
    }).ready();
    await expect(ready).rejects.toMatchObject({
      ...{ status: 503, code: 'NOT_READY', message: 'database: no route to host' },
      headers: { 'retry-after': '1' },
    });
  });

  test('not while something of it gives no answer: nobody waits for one', async () => {
    jest.useFakeTimers();
    const ready = controller((health) =>
      health.register('redis', () => new Promise(() => undefined)),
    ).ready();
    const refused = expect(ready).rejects.toMatchObject({ status: 503, code: 'NOT_READY' });
    await jest.advanceTimersByTimeAsync(2_000);
    await refused;
  }, 5_000);

  test('not once it stops', async () => {
    const stopping = controller((health) => health.drain()).ready();
    await expect(stopping).rejects.toMatchObject({ message: 'service: is shutting down' });
  });
});

test('a service is alive until something hangs that only a new start cures', () => {
  const hangs: string[] = [];
  const health = controller((health) => health.registerLifeSign('consumers', () => hangs[0]));
  expect(health.live()).toEqual({ status: 'ok' });
  hangs.push('order.place has not ended for 300 s');
  expect(() => health.live()).toThrow(
    expect.objectContaining({
      ...{ status: 503, code: 'NOT_LIVE', message: 'consumers: order.place has not ended for 300 s' },
    }),
  );
});
