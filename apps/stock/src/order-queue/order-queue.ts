import { Inject, Injectable } from '@nestjs/common';
import { OrderSubmitted } from '#libs/contracts';
import { BROKER_PORT, type BrokerPort, type GroupInfo } from '#libs/messaging';
import { RedisStock } from '#libs/redis-stock';

/** The group that turns accepted orders into written ones. */
const PLACING = 'order.place';
const TOPIC = OrderSubmitted.topic;
/** The clocks of Redis and the broker differ by less; it matters only for a message whose hold is unknown, or was made anew. */
const CLOCK_MARGIN_MS = 5_000;
/** Dead letters of one page. */
const PAGE = 1_000;
/** Dead letters that are looked through. With more of them an operator is needed first. */
const MAX_DEAD_LETTERS = 100_000;

/** How far the order service has come: everything that was accepted before `doneBeforeMs` is written or was refused, except `waiting`. */
export type Progress = {
  /** Epoch milliseconds. */
  doneBeforeMs: number;
  /** Order numbers of dead letters: accepted, and for an operator to give back or discard. */
  waiting: ReadonlySet<string>;
};

/**
 * What the broker knows of accepted orders that the order service has still to take. Somebody else's hold may be
 * released only when no message can come for it any more, and only the broker can tell: the order service may
 * have been away for hours.
 */
@Injectable()
export class OrderQueue {
  constructor(
    @Inject(BROKER_PORT) private readonly broker: BrokerPort,
    private readonly stock: RedisStock,
  ) {}

  /**
   * @param nowMs by the clock of Redis, as all that is answered
   *
   * Undefined while it cannot be told: a message that is being tried again does not say when it was accepted.
   *
   * @throws when the broker does not answer; then nothing is known either.
   */
  async progress(nowMs: number): Promise<Progress | undefined> {
    // Before and after: a dead letter that is given back in between is in the queue again, or was in the first list.
    const before = await this.deadLetters();
    const group = (await this.broker.admin.groups()).find(({ group }) => group === PLACING);
    const after = await this.deadLetters();
    if (before === undefined || after === undefined) return undefined;
    if (group !== undefined && isRetrying(group)) return undefined;
    const oldestMs = await this.oldestUnfinishedMs(group);
    return {
      doneBeforeMs: oldestMs === undefined ? nowMs : Math.min(nowMs, oldestMs),
      waiting: new Set([...before, ...after]),
    };
  }

  /** True when nothing that was accepted is on its way to the order table, nor from there to the stock's ledger. */
  async isQuiet(): Promise<boolean> {
    // In the order of an order's way: what has left one place while it was looked at is in a later one, or has arrived.
    const { admin } = this.broker;
    if (!(await this.isDone(PLACING))) return false;
    const { pending, parked } = await admin.transactions();
    if (pending > 0 || parked.length > 0) return false;
    // An order that costs nothing is paid at once, and reaches the ledger by that.
    return (await this.isDone('stock.deduct')) && (await this.isDone('stock.confirm'));
  }

  private async isDone(name: string): Promise<boolean> {
    const group = (await this.broker.admin.groups()).find(({ group }) => group === name);
    return group !== undefined && group.lag === 0 && group.inFlight === 0 && group.deadLetters === 0;
  }

  /**
   * No message that the group has not finished was stored before this; undefined when it has finished all. Each comes
   * after its own hold was made, which Redis knows by its own clock: the broker's may be wrong by more than a hold lasts.
   */
  private async oldestUnfinishedMs(group: GroupInfo | undefined): Promise<number | undefined> {
    const { admin } = this.broker;
    const topic = (await admin.topics()).find(({ topic }) => topic === TOPIC);
    const unfinished = (topic?.partitions ?? []).map(async ({ partition, startOffset, endOffset }) => {
      // As the group saw it: what was stored since is younger than this question.
      const position = group?.positions.find((each) => each.topic === TOPIC && each.partition === partition);
      const from = position?.committedOffset ?? startOffset;
      if (from >= (position?.endOffset ?? endOffset)) return undefined;
      const [message] = await admin.read(TOPIC, partition, from, 1);
      if (message === undefined) return undefined;
      const hold = message.key === undefined ? undefined : await this.stock.hold(message.key);
      return Math.min(hold?.heldAtMs ?? Infinity, message.storedAtMs - CLOCK_MARGIN_MS);
    });
    const times = (await Promise.all(unfinished)).filter((time) => time !== undefined);
    return times.length === 0 ? undefined : Math.min(...times);
  }

  /** Undefined when there are more than can be looked through. */
  private async deadLetters(): Promise<Set<string> | undefined> {
    const orderNos = new Set<string>();
    let afterOffset: number | undefined;
    for (let seen = 0; seen < MAX_DEAD_LETTERS;) {
      const page = await this.broker.admin.deadLetters(PLACING, {
        limit: PAGE,
        ...(afterOffset !== undefined && { afterOffset }),
      });
      for (const { message } of page) if (message.key !== undefined) orderNos.add(message.key);
      const last = page.at(-1);
      if (last === undefined) return orderNos;
      afterOffset = last.offset;
      seen += page.length;
    }
    return undefined;
  }
}

/** Retries have left the topic's positions: they wait, or stand in a topic of their own. */
const isRetrying = ({ retrying, positions }: GroupInfo): boolean =>
  retrying > 0 ||
  positions.some(({ topic, committedOffset, endOffset }) => topic !== TOPIC && committedOffset < endOffset);
