import { randomBytes } from 'node:crypto';
import { MessagingError, concernsOneMessage } from '#libs/messaging/port';
import type { OutgoingMessage, SendReceipt } from '#libs/messaging/port';
import type { BrokerSession, ProducerIdentity } from '../session.js';

/**
 * Numbers the appends of one client, so that a batch that is sent again (after a lost connection, say) is
 * stored once, and none is left out unnoticed.
 *
 * It registers with the first send. When an append ends otherwise than with receipts or a refusal of what is in
 * it, the broker's count and ours may differ: then it waits until all that is under way has an answer,
 * registers anew and begins again at 1 (Kafka does the same, KIP-360). Batches that the broker says
 * are out of sequence were not stored; `SendBuffer` sends them again, under the new epoch.
 */
export class Sequencer implements Pick<BrokerSession, 'append'> {
  private readonly owner = randomBytes(12).toString('base64url');
  private readonly name: string;
  private identity: ProducerIdentity | undefined;
  private wasOpen = false;
  private opening: Promise<void> | undefined;
  private lastSequence = 0;
  private underWay = 0;
  private readonly idle: (() => void)[] = [];
  private fenced: MessagingError | undefined;

  /** `name`: the producer's own over restarts of the process; without one it is another producer each time. */
  constructor(
    private readonly session: Pick<BrokerSession, 'append' | 'openProducer'>,
    name: string | undefined,
  ) {
    this.name = name ?? `~${this.owner}`;
  }

  append(messages: readonly OutgoingMessage[]): Promise<SendReceipt[]> {
    if (this.fenced) return Promise.reject(this.fenced);
    const { identity } = this;
    if (identity === undefined) return this.open().then(() => this.append(messages));
    this.lastSequence += 1;
    this.underWay += 1;
    const { producerId, epoch } = identity;
    return this.session.append(messages, { producerId, epoch, sequence: this.lastSequence }).then(
      (receipts) => {
        this.answered();
        return receipts;
      },
      (error: unknown) => {
        this.failed(error, identity, messages.length);
        this.answered();
        throw error;
      },
    );
  }

  /** A message that was refused took its number; of several that were refused together none did, so that those behind them were refused too. */
  private failed(error: unknown, identity: ProducerIdentity, messages: number): void {
    if (concernsOneMessage(error) && messages === 1) return;
    if (error instanceof MessagingError && error.code === 'PRODUCER_FENCED') this.fenced = error;
    if (this.identity === identity) this.identity = undefined;
  }

  private answered(): void {
    this.underWay -= 1;
    if (this.underWay === 0) for (const resolve of this.idle.splice(0)) resolve();
  }

  private open(): Promise<void> {
    this.opening ??= this.register().finally(() => {
      this.opening = undefined;
    });
    return this.opening;
  }

  private async register(): Promise<void> {
    // What is under way still counts under the old epoch, which registering ends.
    if (this.underWay > 0) await new Promise<void>((resolve) => this.idle.push(resolve));
    const { name, owner, wasOpen: renew } = this;
    try {
      this.identity = await this.session.openProducer({ name, owner, renew });
    } catch (error) {
      if (error instanceof MessagingError && error.code === 'PRODUCER_FENCED') this.fenced = error;
      throw error;
    }
    this.wasOpen = true;
    this.lastSequence = 0;
  }
}
