import { describe, expect, it } from '@jest/globals';
import { MessagingError, type OutgoingMessage, type SendReceipt } from '#libs/messaging/port';
import type { MessagingErrorCode } from '#libs/messaging/port';
import type { ProducerIdentity, ProducerRegistration, ProducerStamp } from '../session.js';
import { Sequencer } from './sequencer.js';

type Call = {
  stamp: ProducerStamp;
  resolve: (receipts: SendReceipt[]) => void;
  fail: (code: MessagingErrorCode) => void;
};

/** A broker whose answers the spec gives. */
class Scripted {
  readonly calls: Call[] = [];
  readonly registrations: ProducerRegistration[] = [];
  private epoch = 0;

  openProducer(registration: ProducerRegistration): Promise<ProducerIdentity> {
    this.registrations.push(registration);
    this.epoch += 1;
    return Promise.resolve({ producerId: 7, epoch: this.epoch });
  }

  append(_messages: readonly OutgoingMessage[], stamp?: ProducerStamp): Promise<SendReceipt[]> {
    return new Promise((resolve, reject) => {
      const fail = (code: MessagingErrorCode): void => reject(new MessagingError(code, 'scripted'));
      this.calls.push({ stamp: stamp as ProducerStamp, resolve, fail });
    });
  }

  get places(): string[] {
    return this.calls.map(({ stamp }) => `${stamp.epoch}:${stamp.sequence}`);
  }
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const batch: OutgoingMessage[] = [{ topic: 't', tag: 'a', body: Buffer.alloc(0) }];

describe('the sequencer', () => {
  it('numbers appends in the order in which they were made, from the first on', async () => {
    const broker = new Scripted();
    const sequencer = new Sequencer(broker, 'shop');
    const sent = [1, 2, 3].map(() => sequencer.append(batch));
    await turn();
    expect(broker.registrations).toMatchObject([{ name: 'shop', renew: false }]);
    expect(broker.places).toEqual(['1:1', '1:2', '1:3']);
    for (const { resolve } of broker.calls) resolve([]);
    await Promise.all(sent);
  });

  it('begins a new epoch after a failure of unknown outcome, once all that is under way was answered', async () => {
    const broker = new Scripted();
    const sequencer = new Sequencer(broker, undefined);
    const [lost, stored] = [sequencer.append(batch), sequencer.append(batch)];
    await turn();
    broker.calls[0]!.fail('REQUEST_TIMEOUT');
    await expect(lost).rejects.toMatchObject({ code: 'REQUEST_TIMEOUT' });
    const next = sequencer.append(batch);
    await turn();
    expect(broker.registrations).toHaveLength(1);
    broker.calls[1]!.resolve([]);
    await stored;
    await turn();
    expect(broker.registrations[1]).toMatchObject({ ...broker.registrations[0], renew: true });
    expect(broker.places).toEqual(['1:1', '1:2', '2:1']);
    broker.calls[2]!.resolve([]);
    await next;
  });

  it('begins anew behind several messages that were refused together, and not behind one', async () => {
    const broker = new Scripted();
    const sequencer = new Sequencer(broker, 'shop');
    const one = sequencer.append(batch);
    await turn();
    broker.calls[0]!.fail('QUEUE_FULL');
    await expect(one).rejects.toMatchObject({ code: 'QUEUE_FULL' });
    const two = sequencer.append([...batch, ...batch]);
    await turn();
    broker.calls[1]!.fail('QUEUE_FULL');
    await expect(two).rejects.toMatchObject({ code: 'QUEUE_FULL' });
    void sequencer.append(batch);
    await turn();
    expect(broker.places).toEqual(['1:1', '1:2', '2:1']);
  });

  it('gives up for good when a newer instance has its name', async () => {
    const broker = new Scripted();
    const sequencer = new Sequencer(broker, 'shop');
    const sent = sequencer.append(batch);
    await turn();
    broker.calls[0]!.fail('PRODUCER_FENCED');
    await expect(sent).rejects.toMatchObject({ code: 'PRODUCER_FENCED' });
    await expect(sequencer.append(batch)).rejects.toMatchObject({ code: 'PRODUCER_FENCED' });
    expect(broker.registrations).toHaveLength(1);
  });
});
