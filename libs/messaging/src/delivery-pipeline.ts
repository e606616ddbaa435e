/**
 * What happens to a message between the broker and a handler. Read `process` first; each step after it
 * is one method, in the order in which they happen:
 *
 *   1. route   which handler takes `topic.tag`? none (any more) → dead letter: it was asked for once
 *   2. parse   not what the contract says → dead letter `not-parseable`, at once
 *   3. handle  within the message's trace; with `once: 'inbox'` the handler's effects and the inbox row
 *              commit together, and a message that has a row already is not handled again
 *   4. settle  handler done → ack. Failed → the error's kind decides: ack, retry later or dead letter
 *
 * Between 2 and 3 stands a circuit breaker: while something that handlers need is away, deliveries wait there
 * instead of failing, and as no more than `maxInFlightMessages` are given to a member, the group pauses.
 * The lease of each is kept alive from 1 to 4, up to a deadline (`lease-keeper.ts`).
 *
 * The order of 3 and 4 is what makes delivery at-least-once: a process that dies between them gets the
 * message again. The inbox makes the effect exactly-once. Nothing here knows Nest or a broker.
 */
import { CircuitBreaker, CircuitStopped } from './circuit-breaker.js';
import { decodePayload, type AnyContract, type MessageContract } from './contract.js';
import type { BatchHandler, DeliveredMessage } from './broker-port.js';
import type { Delivery } from './delivery.js';
import { MessagingError, type ErrorKind } from './errors.js';
import { describeError, isUnavailable, kindOf, verdictOn } from './failure.js';
import type { InboxStore } from './inbox.js';
import { LeaseKeeper } from './lease-keeper.js';
import { Header, type DeadLetterReason } from './message.js';
import type { DeliveryOutcome, MessagingLogger, PipelineObserver } from './observer.js';
import type { RetryPolicy } from './retry.js';
import { childTraceparent, traceContext } from './trace-context.js';

type RouteBase = { contract: AnyContract; retry: RetryPolicy };
export type SingleRoute = RouteBase & {
  takes: 'one';
  inbox?: InboxStore;
  handle(delivery: Delivery<unknown>): Promise<void>;
};
export type BatchRoute = RouteBase & {
  takes: 'batch';
  handle(deliveries: readonly Delivery<unknown>[]): Promise<void>;
};
export type Route = SingleRoute | BatchRoute;

export type PipelineParts = {
  group: string;
  routes: readonly Route[];
  /** The subscription's lease, which is extended by as much while a delivery is worked on. */
  leaseMs: number;
  logger: MessagingLogger;
  observer: PipelineObserver | undefined;
  /** Whether a failure that messaging does not know means that something every handler needs is away. */
  isUnavailable?: ((error: unknown) => boolean) | undefined;
  now: () => number;
  random: () => number;
};

/** A delivery on its way through the pipeline. */
type Work = {
  delivered: DeliveredMessage;
  delivery: Delivery<unknown>;
  route: Route;
  startedAtMs: number;
};

/**
 * A handler that takes its whole process down leaves no failure behind, only lost leases. This many
 * deliveries beyond the policy's attempts end that.
 */
const MAX_LOST_LEASES = 16;

/** When so many calls in a row fail, it is the world that is broken, not a message of the batch. */
const MAX_FAILURES_IN_A_ROW = 8;

/** A short pause is nobody's concern. */
const REPORT_PAUSE_AFTER_MS = 5_000;
/** A handler that takes longer is slow; while it is at work its group is not ready for more. */
const WEDGED_AFTER_LEASES = 2;
/** When none has come to an end for so long, none will. */
const HANGS_AFTER_LEASES = 10;

export class DeliveryPipeline {
  private readonly routes: ReadonlyMap<string, Route>;
  private readonly leases: LeaseKeeper;
  private readonly circuit: CircuitBreaker;
  private lastEndMs: number;

  constructor(private readonly parts: PipelineParts) {
    this.routes = new Map(parts.routes.map((route) => [route.contract.name, route]));
    const { leaseMs, now } = parts;
    this.leases = new LeaseKeeper({ leaseMs, now, givenUp: this.hangs });
    this.lastEndMs = now();
    const about = { group: parts.group };
    this.circuit = new CircuitBreaker({
      isUnavailable: this.isUnavailable,
      now,
      opened: (error) => {
        parts.logger.warn({ ...about, err: error }, 'paused: something that handlers need is away');
        parts.observer?.paused?.(parts.group, true);
      },
      closed: (openMs) => {
        parts.logger.info({ ...about, pausedMs: openMs }, 'goes on: what was away is back');
        parts.observer?.paused?.(parts.group, false);
      },
    });
  }

  /** Nothing waits any more for what is away: it is left to the group's other members, or to the next start. */
  stop(): void {
    this.circuit.stop();
  }

  /** What keeps this group from its work; undefined when nothing does. */
  trouble(): ConsumerTrouble | undefined {
    const { group, leaseMs, now } = this.parts;
    const pausedMs = this.circuit.openMs ?? 0;
    if (pausedMs > REPORT_PAUSE_AFTER_MS) {
      // Everybody waits for the one that tries.
      const isHang = this.circuit.probingMs > HANGS_AFTER_LEASES * leaseMs;
      return {
        group,
        detail: `paused for ${seconds(pausedMs)}, what it needs is away`,
        isHang,
        isPause: !isHang,
      };
    }
    const heldMs = this.leases.longestHeldMs();
    if (heldMs <= WEDGED_AFTER_LEASES * leaseMs) return undefined;
    const silentMs = now() - this.lastEndMs;
    return {
      group,
      detail: `a handler has been at work for ${seconds(heldMs)}, and ${seconds(silentMs)} ago the last one ended`,
      isHang: Math.min(heldMs, silentMs) > HANGS_AFTER_LEASES * leaseMs,
      isPause: false,
    };
  }

  /** A batch whose parts were tried one by one is unavailable when each of its failures is. */
  private readonly isUnavailable = (error: unknown): boolean =>
    error instanceof AggregateError
      ? error.errors.length > 0 && error.errors.every(this.isUnavailable)
      : isUnavailable(error) || (this.parts.isUnavailable?.(error) ?? false);

  /** Takes what the broker delivers; resolves when every delivery has its verdict. Never rejects. */
  readonly process: BatchHandler = async (batch) => {
    const steps: Promise<void>[] = [];
    const batches = new Map<BatchRoute, Work[]>();
    for (const delivered of batch) {
      this.leases.hold(delivered);
      const work = this.accept(delivered);
      if (work instanceof Promise) steps.push(work);
      else if (work.route.takes === 'one') steps.push(this.handleOne(work, work.route));
      else addTo(batches, work.route, work);
    }
    for (const [route, works] of batches) steps.push(this.handleBatch(works, route));
    await Promise.all(steps);
  };

  /** Steps 1 and 2. A promise is the verdict of a message that goes no further. */
  private accept(delivered: DeliveredMessage): Work | Promise<void> {
    const startedAtMs = this.parts.now();
    const { message, attempt } = delivered;
    const route = this.routes.get(`${message.topic}.${message.tag}`);
    if (route === undefined) {
      // The broker delivers the tags that were asked for: it is a retry or a redrive of one that no longer is.
      const error = `no handler of ${this.parts.group} takes ${message.topic}.${message.tag}`;
      return this.deadLetter({ delivered, startedAtMs }, 'rejected', error, 'invalid');
    }
    if (delivered.signal.aborted) {
      // It waited here for longer than its lease: handling it now would only race its new owner.
      return Promise.resolve(this.ended({ delivered, startedAtMs }, 'lease-lost'));
    }
    if (attempt > route.retry.attempts + MAX_LOST_LEASES) {
      const error = `${attempt} deliveries, and the last ones ended without a verdict`;
      return this.deadLetter({ delivered, startedAtMs }, 'retries-exhausted', error);
    }
    try {
      return { delivered, delivery: readDelivery(route.contract, delivered), route, startedAtMs };
    } catch (error) {
      return this.deadLetter({ delivered, startedAtMs }, 'not-parseable', describeError(error), 'invalid');
    }
  }

  /** Steps 3 and 4 for a handler that takes one message. */
  private async handleOne(work: Work, route: SingleRoute): Promise<void> {
    let outcome: 'handled' | 'duplicate';
    try {
      outcome = await withinTraceOf(work, () =>
        this.circuit.run(
          () => this.callOne(work, route),
          () => this.leases.hold(work.delivered),
        ),
      );
    } catch (error) {
      return this.fail(work, error);
    }
    await this.ack(work, outcome);
  }

  private async callOne({ delivered, delivery }: Work, route: SingleRoute): Promise<'handled' | 'duplicate'> {
    if (delivered.signal.aborted) throw new MessagingError('LEASE_LOST', delivered.message.id);
    if (route.inbox === undefined) {
      await route.handle(delivery);
      return 'handled';
    }
    return route.inbox.once(this.parts.group, delivery.message.id, (tx) => route.handle({ ...delivery, tx }));
  }

  /** Steps 3 and 4 for a handler that takes a batch: all at once, and when that fails, in halves. */
  private async handleBatch(batch: readonly Work[], route: BatchRoute): Promise<void> {
    const run: BatchRun = { route, batch, failuresInARow: 0 };
    const failure = await this.tryBatch(batch, run);
    if (failure !== undefined) await this.divide(batch, failure, run);
  }

  /**
   * One call of the handler. Acks on success, else returns the failure and leaves the batch unsettled.
   *
   * While something is away, every second try is one message alone: perhaps it is one of the batch that always says so.
   */
  private async tryBatch(batch: readonly Work[], run: BatchRun): Promise<Failure | undefined> {
    if (batch.length === 0) return undefined;
    let probes = 0;
    let tried = batch;
    try {
      await this.circuit.run(
        (isProbe) => {
          const own = batch.filter(({ delivered }) => !delivered.signal.aborted);
          const isAlone = isProbe && own.length > 0 && ++probes % 2 === 0;
          tried = isAlone ? own.slice((probes / 2 - 1) % own.length).slice(0, 1) : batch;
          return this.callBatch(tried, run.route);
        },
        // Also those of a divided batch whose turn comes after this one.
        () => run.batch.forEach(({ delivered }) => this.leases.renew(delivered)),
      );
    } catch (error) {
      run.failuresInARow++;
      return { error };
    }
    run.failuresInARow = 0;
    await Promise.all(tried.map((work) => this.ack(work, 'handled')));
    if (tried.length < batch.length) {
      const [alone] = tried;
      await this.tryHalves(
        batch.filter((work) => work !== alone),
        run,
      );
    }
    return undefined;
  }

  /** Both at once: the one that waits for what is away must not keep the other from showing that it is there. */
  private async tryHalves(batch: readonly Work[], run: BatchRun): Promise<void> {
    await Promise.all(
      halvesOf(batch).map(async (half) => {
        const failure = await this.tryBatch(half, run);
        if (failure !== undefined) await this.divide(half, failure, run);
      }),
    );
  }

  /** Without what was lost while the batch had to wait. */
  private async callBatch(batch: readonly Work[], route: BatchRoute): Promise<void> {
    const own = batch.filter(({ delivered }) => !delivered.signal.aborted);
    // Not a success: nothing was tried.
    if (own.length === 0) throw new MessagingError('LEASE_LOST', 'of every message of the batch');
    await traceContext.runBatch(
      own.map(({ delivered }) => delivered.message),
      () => route.handle(own.map(({ delivery }) => delivery)),
    );
  }

  /**
   * Bisects a failed batch until the messages that fail are alone, so that one poison message cannot
   * take the others with it. Both halves are tried before either is divided: with one poison message
   * every second call succeeds. Example, 3 of 0…7 being poison (✗ failed, ✓ acked):
   *
   *   0-7 ✗ │ 0-3 ✗  4-7 ✓ │ 0-1 ✓  2-3 ✗ │ 2 ✓  3 ✗ → 3 gets the error's verdict
   *
   * When nothing succeeds any more, the rest is retried as it is instead of hammering a dead database.
   */
  private async divide(batch: readonly Work[], failure: Failure, run: BatchRun): Promise<void> {
    if (batch.length === 1 || this.isOutage(batch, failure, run)) {
      await Promise.all(batch.map((work) => this.fail(work, failure.error)));
      return;
    }
    const failed: { half: readonly Work[]; failure: Failure }[] = [];
    for (const part of halvesOf(batch)) {
      const half = await this.keep(part);
      const halfFailure = await this.tryBatch(half, run);
      if (halfFailure !== undefined) failed.push({ half, failure: halfFailure });
    }
    for (const { half, failure } of failed) await this.divide(half, failure, run);
  }

  private isOutage(batch: readonly Work[], { error }: Failure, { route, failuresInARow }: BatchRun): boolean {
    const kind = kindOf(error);
    if (failuresInARow < MAX_FAILURES_IN_A_ROW || (kind !== 'transient' && kind !== 'unknown')) return false;
    // Whoever is about to be dead-lettered has a right to be tried alone first.
    return batch.every(({ delivered }) => triesOf(delivered) < route.retry.attempts);
  }

  /** Extends the leases of a part that had to wait for its turn, and drops what was lost meanwhile. */
  private async keep(part: readonly Work[]): Promise<readonly Work[]> {
    const kept = await Promise.all(
      part.map(async (work) => {
        try {
          await work.delivered.extend(this.parts.leaseMs);
          return work;
        } catch (error) {
          this.unsettled(work, error);
          return undefined;
        }
      }),
    );
    return kept.filter((work) => work !== undefined);
  }

  /** Step 4 when the handler failed. */
  private async fail(work: Work, error: unknown): Promise<void> {
    const { delivered, route } = work;
    if (delivered.signal.aborted || error instanceof CircuitStopped) return this.unsettled(work, error);
    const verdict = verdictOn(error, triesOf(delivered), route.retry, this.parts.random);
    if (verdict.action === 'dead-letter') {
      return this.deadLetter(work, verdict.reason, describeError(error), kindOf(error), error);
    }
    if (verdict.action === 'ack') {
      this.parts.logger.info(
        { ...this.about(work), error: describeError(error) },
        'the expected other outcome',
      );
      return this.ack(work, 'conflict');
    }
    const { delayMs } = verdict;
    this.parts.logger.warn({ ...this.about(work), delayMs, err: error }, 'handling failed, will be retried');
    const failure = { delayMs, error: describeError(error), kind: kindOf(error) };
    await this.settle(work, 'retried', () => delivered.retry(failure));
  }

  private ack(work: Arrived, outcome: DeliveryOutcome): Promise<void> {
    return this.settle(work, outcome, () => work.delivered.ack());
  }

  private deadLetter(
    work: Arrived,
    reason: DeadLetterReason,
    error: string,
    kind?: ErrorKind,
    err?: unknown,
  ): Promise<void> {
    this.parts.logger.error({ ...this.about(work), reason, kind, error, err }, 'dead letter');
    return this.settle(
      work,
      'dead-lettered',
      () => work.delivered.deadLetter({ reason, error, kind }),
      reason,
    );
  }

  private async settle(
    work: Arrived,
    outcome: DeliveryOutcome,
    verdict: () => Promise<void>,
    reason?: DeadLetterReason,
  ): Promise<void> {
    try {
      await verdict();
    } catch (error) {
      this.unsettled(work, error);
      return;
    }
    this.ended(work, outcome, reason);
  }

  /**
   * The broker did not take the verdict. Nothing is left to do here: the message is delivered again, to
   * its new owner or after the lease, and the handler (or its inbox) meets a duplicate.
   */
  private unsettled(work: Arrived, error: unknown): void {
    const isLost =
      work.delivered.signal.aborted || (error instanceof MessagingError && error.code === 'LEASE_LOST');
    this.parts.logger.warn(
      { ...this.about(work), error: describeError(error) },
      'the verdict was not recorded',
    );
    this.ended(work, isLost ? 'lease-lost' : 'unsettled');
  }

  private ended(work: Arrived, outcome: DeliveryOutcome, reason?: DeadLetterReason): void {
    const { delivered, startedAtMs } = work;
    const { message, attempt } = delivered;
    const nowMs = this.parts.now();
    const contract = `${message.topic}.${message.tag}`;
    this.leases.release(delivered);
    this.lastEndMs = nowMs;
    this.parts.observer?.deliveryEnded({
      group: this.parts.group,
      contract: this.routes.has(contract) ? contract : `${message.topic}.*`,
      outcome,
      attempt,
      handlingMs: nowMs - startedAtMs,
      ageMs: nowMs - message.storedAtMs,
      ...(reason !== undefined && { reason }),
    });
  }

  private readonly hangs = (delivered: DeliveredMessage, heldMs: number): void => {
    this.parts.logger.error(
      { ...this.about({ delivered }), heldMs },
      'a handler does not come to an end; its message goes to somebody else',
    );
  };

  private about({ delivered: { message, attempt } }: Pick<Arrived, 'delivered'>): object {
    const { id, topic, tag, key } = message;
    return { group: this.parts.group, contract: `${topic}.${tag}`, messageId: id, key, attempt };
  }
}

/**
 * Why a group does not get on. `isHang`: a fault of this process, that only a new start cures. `isPause`: it waits for what is
 * away, or for one message that always says so.
 */
export type ConsumerTrouble = { group: string; detail: string; isHang: boolean; isPause: boolean };

const seconds = (ms: number): string => `${Math.round(ms / 1000)} s`;

/** Deliveries that count for a retry policy: in those that were lost, perhaps nobody had begun. */
const triesOf = ({ attempt, history }: DeliveredMessage): number =>
  attempt - history.filter(({ isLost }) => isLost).length;

type Arrived = Pick<Work, 'delivered' | 'startedAtMs'>;
type Failure = { error: unknown };
type BatchRun = { route: BatchRoute; batch: readonly Work[]; failuresInARow: number };

function halvesOf(batch: readonly Work[]): (readonly Work[])[] {
  const middle = Math.ceil(batch.length / 2);
  return [batch.slice(0, middle), batch.slice(middle)];
}

function addTo(batches: Map<BatchRoute, Work[]>, route: BatchRoute, work: Work): void {
  const batch = batches.get(route);
  if (batch === undefined) batches.set(route, [work]);
  else batch.push(work);
}

/** @throws {MessagingError} `INVALID_PAYLOAD` when the message is not what this consumer can read. */
export function readDelivery(contract: AnyContract, delivered: DeliveredMessage): Delivery<unknown> {
  const { message, attempt, history, signal } = delivered;
  const version = Number(message.headers[Header.version] ?? contract.version);
  if (version > contract.version) {
    const detail = `${contract.name} ${message.id} is version ${version}, this consumer reads up to ${contract.version}`;
    throw new MessagingError('INVALID_PAYLOAD', detail);
  }
  // Parsing reads the schema only; the key function, which needs the type, is the producer's.
  const payload = decodePayload(contract as unknown as MessageContract, message);
  const extend = (leaseMs: number): Promise<void> => delivered.extend(leaseMs);
  return { contract, payload, message, attempt, history, tx: undefined, signal, extend };
}

function withinTraceOf<T>({ delivered }: Work, run: () => Promise<T>): Promise<T> {
  return traceContext.run(childTraceparent(delivered.message.headers[Header.traceparent]), run);
}
