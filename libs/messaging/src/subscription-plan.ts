import type { Subscription } from './broker-port.js';
import type { ConsumerDeclaration, GroupOptions } from './consume.decorator.js';
import type { AnyContract } from './contract.js';
import { MessagingError } from './errors.js';

/** One handler and the contract it was registered for. */
export type PlannedHandler<Handler> = {
  contract: AnyContract;
  consumer: ConsumerDeclaration;
  handler: Handler;
};
export type GroupPlan<Handler> = { subscription: Subscription; handlers: PlannedHandler<Handler>[] };

const GROUP_OPTIONS = [
  'mode',
  'order',
  'whenFailing',
  'automaticRedrive',
  'startAt',
  'priorities',
  'maxInFlightMessages',
  'maxInFlightBytes',
  'leaseMs',
  'guarantee',
] as const satisfies readonly (keyof GroupOptions)[];

/**
 * One subscription per group, whatever the number of its handlers: a group is one position in the log,
 * and two subscriptions of one service would share its messages between them.
 * @throws {MessagingError} `INVALID_ARGUMENT` when handlers contradict each other.
 */
export function planSubscriptions<Handler>(
  handlers: readonly PlannedHandler<Handler>[],
): GroupPlan<Handler>[] {
  const groups = new Map<string, PlannedHandler<Handler>[]>();
  for (const handler of handlers) {
    const { group } = handler.consumer.options;
    groups.set(group, [...(groups.get(group) ?? []), handler]);
  }
  return [...groups].map(([group, members]) => ({
    subscription: {
      group,
      topics: topicsOf(members.map(({ contract }) => contract)),
      ...mergeOptions(group, members),
      maxBatchMessages: Math.max(...members.map(({ consumer }) => consumer.options.maxBatchMessages ?? 1)),
    },
    handlers: members,
  }));
}

function topicsOf(contracts: readonly AnyContract[]): Subscription['topics'] {
  const tags = new Map<string, string[]>();
  for (const { topic, tag } of contracts) tags.set(topic, [...(tags.get(topic) ?? []), tag]);
  return [...tags].map(([topic, tags]) => ({ topic, tags }));
}

/** Options may be given at any handler of the group; given at several, they must agree. */
function mergeOptions(group: string, members: readonly PlannedHandler<unknown>[]): GroupOptions {
  const merged: Record<string, unknown> = {};
  for (const { consumer } of members) {
    for (const option of GROUP_OPTIONS) {
      const value = consumer.options[option];
      if (value === undefined) continue;
      const [told, also] = [shown(merged[option]), shown(value)];
      if (merged[option] !== undefined && told !== also) {
        throw contradiction(group, `${option} is both ${told} and ${also}`);
      }
      merged[option] = value;
    }
  }
  const options = merged as GroupOptions;
  if (options.mode === 'broadcast' && members.some(({ consumer }) => consumer.options.once === 'inbox')) {
    throw contradiction(group, 'with an inbox only one member of a broadcast would handle each message');
  }
  return options;
}

const shown = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value));

function contradiction(group: string, detail: string): MessagingError {
  return new MessagingError(
    'INVALID_ARGUMENT',
    `the handlers of group ${group} contradict each other: ${detail}`,
  );
}
