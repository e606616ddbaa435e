import type { BrokerPort } from './broker-port.js';
import { confirmed } from './confirmed.js';
import { MessagingError } from './errors.js';
import { describeError } from './failure.js';
import type { ClaimedMessage, Settlement } from './outbox.js';

/** Refusals that may be mended from outside (a topic that is missing, what nobody knows): then it is for an operator. */
const MAX_REFUSALS = 10;
const FIRST_RETRY_MS = 1_000;
const MAX_RETRY_MS = 30_000;
/** Of a topic that is full, which is not the message's fault and does not count. */
const FULL_RETRY_MS = 5_000;

/**
 * - `broker`: it is away, or cannot take anything. Nobody's fault: all wait, for as long as it lasts.
 * - `topic`: it is full. Its messages wait, each with its key, for as long as it lasts.
 * - `message`: this one is refused, and may be taken later.
 * - `never`: no repeat helps.
 */
type Obstacle = 'broker' | 'topic' | 'message' | 'never';

function obstacleOf(error: unknown): Obstacle {
  if (!(error instanceof MessagingError)) return 'message';
  if (error.code === 'QUEUE_FULL') return 'topic';
  if (error.code === 'UNKNOWN_TOPIC') return 'message';
  return error.kind === 'invalid' && error.code !== 'AUTHENTICATION_FAILED' ? 'never' : 'broker';
}

/**
 * Sends what was claimed and says what became of it. All in one call; when the broker refuses something in there, each key
 * for itself and one message after the other, so that what cannot be sent holds up its own key at most.
 *
 * @throws what the broker answered when nothing could be sent for its sake
 */
export async function sendClaimed(
  broker: Pick<BrokerPort, 'send'>,
  claimed: readonly ClaimedMessage[],
): Promise<Settlement> {
  try {
    confirmed(await broker.send(claimed.map(({ message }) => message)));
    return { sent: claimed.map(({ rowId }) => rowId), refused: [] };
  } catch (error) {
    if (obstacleOf(error) === 'broker') throw error;
    return new SendingApart(broker).all(claimed);
  }
}

class SendingApart {
  private readonly settlement: Settlement = { sent: [], refused: [] };
  private readonly fullTopics = new Map<string, unknown>();
  /** Why the broker takes nothing any more. */
  private outage: { error: unknown } | undefined;

  constructor(private readonly broker: Pick<BrokerPort, 'send'>) {}

  async all(claimed: readonly ClaimedMessage[]): Promise<Settlement> {
    await Promise.all([...lanesOf(claimed).values()].map((lane) => this.lane(lane)));
    const { sent, refused } = this.settlement;
    // What was sent before it went away is settled; the next round meets the outage by itself.
    if (this.outage !== undefined && sent.length + refused.length === 0) throw this.outage.error;
    return this.settlement;
  }

  /** Ends at the first message that waits: those behind it wait with it. */
  private async lane(lane: readonly ClaimedMessage[]): Promise<void> {
    for (const each of lane) {
      if (this.outage !== undefined || !(await this.isPassed(each))) return;
    }
  }

  private async isPassed(each: ClaimedMessage): Promise<boolean> {
    const { topic } = each.message;
    if (this.fullTopics.has(topic)) return this.refuse(each, this.fullTopics.get(topic));
    try {
      confirmed(await this.broker.send([each.message]));
      this.settlement.sent.push(each.rowId);
      return true;
    } catch (error) {
      const obstacle = obstacleOf(error);
      if (obstacle === 'topic') this.fullTopics.set(topic, error);
      if (obstacle !== 'broker') return this.refuse(each, error);
      this.outage ??= { error };
      return false;
    }
  }

  /** Whether the next one of its key may go: not while this one is to be tried again. */
  private refuse({ rowId, refusals }: ClaimedMessage, cause: unknown): boolean {
    const obstacle = obstacleOf(cause);
    const error = describeError(cause);
    if (obstacle === 'topic') {
      this.settlement.refused.push({ rowId, error, refusals, retryAfterMs: FULL_RETRY_MS });
      return false;
    }
    const isGivenUp = obstacle === 'never' || refusals + 1 >= MAX_REFUSALS;
    const retryAfterMs = Math.min(FIRST_RETRY_MS * 2 ** refusals, MAX_RETRY_MS);
    this.settlement.refused.push({
      ...{ rowId, error, refusals: refusals + 1 },
      ...(!isGivenUp && { retryAfterMs }),
    });
    return isGivenUp;
  }
}

/** By key, in their order; what has no key has no order. */
function lanesOf(claimed: readonly ClaimedMessage[]): Map<unknown, ClaimedMessage[]> {
  const lanes = new Map<unknown, ClaimedMessage[]>();
  for (const each of claimed) {
    const lane = each.message.key ?? each;
    const of = lanes.get(lane);
    if (of === undefined) lanes.set(lane, [each]);
    else of.push(each);
  }
  return lanes;
}
