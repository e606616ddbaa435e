import type { FinalState, History, HistoryEvent, LogRow, SentMessage } from '../history.js';

export type Mutable<Type> = { -readonly [Name in keyof Type]: Type[Name] };
export type MutableHistory = {
  events: HistoryEvent[];
  final: Mutable<FinalState> & {
    log: LogRow[];
    deadLetters: { group: string; id: string }[];
    leftovers: string[];
  };
};
/** Changes a valid history as a fault would; undefined when there is nothing in it to change. `pick` chooses where. */
export type Plant = (history: MutableHistory, pick: (length: number) => number) => History | undefined;
export type Event<Kind extends HistoryEvent['kind']> = Mutable<Extract<HistoryEvent, { kind: Kind }>>;

export const of = <Kind extends HistoryEvent['kind']>(
  { events }: MutableHistory,
  kind: Kind,
): Event<Kind>[] => events.filter((event) => event.kind === kind) as Event<Kind>[];

export const without = (history: MutableHistory, gone: (event: HistoryEvent) => boolean): HistoryEvent[] =>
  history.events.filter((event) => !gone(event));

/** Takes a message out of the log as if it had never been stored, offsets closed up and deliveries gone. */
export function unstore(history: MutableHistory, ids: ReadonlySet<string>): History {
  const { final } = history;
  const offsets = new Map<string, number>();
  const log = final.log
    .filter(({ id }) => !ids.has(id))
    .map((row) => {
      const place = `${row.topic}/${row.partition}`;
      const offset = offsets.get(place) ?? 0;
      offsets.set(place, offset + 1);
      return { ...row, offset };
    });
  return {
    events: without(history, (event) => event.kind === 'delivered' && ids.has(event.message.id)).filter(
      (event) => !('delivery' in event) || event.kind === 'delivered',
    ),
    final: { ...final, log, deadLetters: [] },
  };
}

export const isStored = ({ final }: MutableHistory, id: string): boolean =>
  final.log.some((row) => row.id === id);

/** Messages of plain, acknowledged sends; timers with a due time. */
export function acknowledged(history: MutableHistory, timers: boolean): SentMessage[] {
  const calls = new Set(of(history, 'sent').map(({ call }) => call));
  return of(history, 'send')
    .filter(({ call }) => calls.has(call))
    .flatMap(({ messages }) => messages)
    .filter(({ id, dueAtMs }) => (dueAtMs !== undefined) === timers && isStored(history, id));
}

export const at = <Item>(items: readonly Item[], pick: (length: number) => number): Item | undefined =>
  items.length === 0 ? undefined : items[pick(items.length)];
