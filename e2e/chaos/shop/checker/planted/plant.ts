import type { Books, BuyerEvent, EventOf, SaleHistory } from '../history.js';

/** The parts of a history that a fault may change. */
type Loose<Type> = Type extends readonly (infer Item)[]
  ? Loose<Item>[]
  : Type extends object
    ? { -readonly [Name in keyof Type]: Loose<Type[Name]> }
    : Type;
export type LooseHistory = Loose<Omit<SaleHistory, 'events'>> & { events: BuyerEvent[] };

/** Changes a valid history as a fault would; false when there is nothing in it to change. `pick` chooses where. */
export type Plant = (history: LooseHistory, pick: (length: number) => number) => boolean;

export const eventsOf = <Kind extends BuyerEvent['kind']>(
  { events }: LooseHistory,
  kind: Kind,
): EventOf<Kind>[] => events.filter((event) => event.kind === kind) as EventOf<Kind>[];

export type Order = Loose<Books['orders'][number]>;

/** Does `change` to one of `items`; false when there is none. */
export function toOneOf<Item>(
  items: readonly Item[],
  pick: (length: number) => number,
  change: (item: Item) => void,
): boolean {
  const item = items[items.length === 0 ? 0 : pick(items.length)];
  if (item === undefined) return false;
  change(item);
  return true;
}

/** Orders that a buyer was told of. */
export function told(history: LooseHistory): Order[] {
  const numbers = new Set(eventsOf(history, 'order').flatMap(({ orderNo }) => orderNo ?? []));
  return history.books.orders.filter(({ orderNo }) => numbers.has(orderNo));
}

/** Replaces one event by what becomes of it. */
export function replace<Event extends BuyerEvent>(history: LooseHistory, event: Event, by: Event): void {
  history.events[history.events.indexOf(event)] = by;
}

export const remove = <Item>(items: Item[], item: Item): void => void items.splice(items.indexOf(item), 1);
