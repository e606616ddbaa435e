/** A member of both groups: keeps a history of what it gets, what it says to it, and what the broker says to that. */
import type { DeliveredMessage } from '#libs/messaging';
import { MessagingError } from '#libs/messaging';
import { GROUPS, LEASE_MS, subscriptionOf } from '../topics.js';
import { isBodyOf } from './body.js';
import { Worker, pause } from './worker.js';

const RETRY_SHARE = 0.03;
const DEAD_LETTER_SHARE = 0.005;
const SLOW_SHARE = 0.02;
const TOO_SLOW_SHARE = 0.0005;

const worker = new Worker();
const { history, settings, broker } = worker;
let deliveries = 0;

async function handle(group: string, delivered: DeliveredMessage): Promise<void> {
  const delivery = `${settings.name}.${settings.run}-${++deliveries}`;
  record(group, delivery, delivered);
  if (worker.chance(SLOW_SHARE)) await pause(worker.between(1, 100));
  if (worker.chance(TOO_SLOW_SHARE)) await pause(LEASE_MS * 1.5);
  try {
    await settle(delivery, delivered);
    history.add({ kind: 'settled', delivery });
  } catch (error) {
    const code = error instanceof MessagingError ? error.code : String(error);
    history.add({ kind: 'refused', delivery, code });
  }
}

function record(group: string, delivery: string, { message, attempt }: DeliveredMessage): void {
  const { id, topic, key = '', partition, offset, body } = message;
  history.add({
    kind: 'delivered',
    delivery,
    group,
    atMs: Date.now(),
    attempt,
    message: { id, topic, key, partition, offset },
    ...(isBodyOf(id, body) ? {} : { altered: true }),
  });
}

function settle(delivery: string, delivered: DeliveredMessage): Promise<void> {
  if (worker.chance(RETRY_SHARE)) {
    history.add({ kind: 'verdict', delivery, verdict: 'retry' });
    return delivered.retry({ delayMs: worker.between(0, 300), error: 'not this time' });
  }
  if (worker.chance(DEAD_LETTER_SHARE)) {
    history.add({ kind: 'verdict', delivery, verdict: 'dead-letter' });
    return delivered.deadLetter({ reason: 'rejected', error: 'never' });
  }
  history.add({ kind: 'verdict', delivery, verdict: 'ack' });
  return delivered.ack();
}

/** A good client asks again: the broker may just be away. */
async function join(group: (typeof GROUPS)[number]): Promise<void> {
  for (;;) {
    try {
      await broker.subscribe(subscriptionOf(group), async ([delivered]) => {
        if (delivered !== undefined) await handle(group.name, delivered);
      });
      return;
    } catch (error) {
      if (!(error instanceof MessagingError) || error.kind !== 'transient') throw error;
      await pause(200);
    }
  }
}

async function leave(): Promise<void> {
  await broker.close();
  history.close();
  process.exit(0);
}

worker.on('leave', () => void leave());
await Promise.all(GROUPS.map(join));
worker.tell('joined');
