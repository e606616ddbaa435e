import { GROUPS } from '../simulated-run.js';
import { at, of, without, type Event, type Plant, type MutableHistory } from './plant.js';

export const lostInGroup: Plant = (history, pick) => {
  const row = at(history.final.log, pick);
  if (row === undefined) return undefined;
  const gone = new Set(
    of(history, 'delivered')
      .filter(({ message, group }) => message.id === row.id && group === GROUPS[0].name)
      .map(({ delivery }) => delivery),
  );
  history.final.deadLetters = history.final.deadLetters.filter(({ id }) => id !== row.id);
  history.events = without(history, (event) => 'delivery' in event && gone.has(event.delivery));
  return history;
};

export const lostInFlight: Plant = (history, pick) => {
  const row = at(history.final.log, pick);
  if (row === undefined) return undefined;
  const group = GROUPS[0].name;
  const tries = of(history, 'delivered').filter(
    ({ message, group: of }) => message.id === row.id && of === group,
  );
  const names = new Set(tries.map(({ delivery }) => delivery));
  history.final.deadLetters = history.final.deadLetters.filter(({ id }) => id !== row.id);
  history.events = without(
    history,
    (event) => 'delivery' in event && event.kind !== 'delivered' && names.has(event.delivery),
  );
  return history;
};

export const altered: Plant = (history, pick) => {
  const delivery = at(of(history, 'delivered'), pick);
  if (delivery === undefined) return undefined;
  delivery.altered = true;
  return history;
};

/** The deliveries of a group that were settled for good. */
function settledDeliveries(history: MutableHistory): Event<'delivered'>[] {
  const settled = new Set(of(history, 'settled').map(({ delivery }) => delivery));
  const final = new Set(
    of(history, 'verdict')
      .filter(({ verdict }) => verdict !== 'retry')
      .map(({ delivery }) => delivery),
  );
  return of(history, 'delivered').filter(({ delivery }) => settled.has(delivery) && final.has(delivery));
}

export const settledTwice =
  (verdict: 'ack' | 'retry'): Plant =>
  (history, pick) => {
    const first = at(settledDeliveries(history), pick);
    if (first === undefined) return undefined;
    const now = history.events.at(-1)?.at ?? 0;
    const delivery = 'once-more';
    history.events = [
      ...history.events,
      { ...first, at: now + 1, delivery },
      { kind: 'verdict', at: now + 2, delivery, verdict },
      { kind: 'settled', at: now + 3, delivery },
    ];
    return history;
  };

/** Pairs of messages of one key, first deliveries in the by-key group, in order. */
function keyPairs(history: MutableHistory): [Event<'delivered'>, Event<'delivered'>][] {
  const firsts = new Map<string, Event<'delivered'>>();
  const pairs: [Event<'delivered'>, Event<'delivered'>][] = [];
  const seen = new Set<string>();
  for (const delivery of of(history, 'delivered')) {
    const { group, message } = delivery;
    if (group !== 'ordered' || seen.has(message.id)) continue;
    seen.add(message.id);
    const earlier = firsts.get(message.key);
    if (earlier !== undefined) pairs.push([earlier, delivery]);
    firsts.set(message.key, delivery);
  }
  return pairs;
}

export const overtaken: Plant = (history, pick) => {
  const [earlier, later] = at(keyPairs(history), pick) ?? [];
  if (earlier === undefined || later === undefined) return undefined;
  later.at = earlier.at - 0.5;
  return history;
};

export const wentBack: Plant = (history, pick) => {
  const settled = new Set(settledDeliveries(history).map(({ delivery }) => delivery));
  const pair = at(
    keyPairs(history).filter((both) => both.every(({ delivery }) => settled.has(delivery))),
    pick,
  );
  if (pair === undefined) return undefined;
  const [earlier] = pair;
  const now = history.events.at(-1)?.at ?? 0;
  // Its first verdict was asked for, but what was settled is a delivery after the next message was settled.
  const delivery = 'went-back';
  history.events = without(
    history,
    (event) => event.kind === 'settled' && event.delivery === earlier.delivery,
  );
  history.events.push(
    { ...earlier, at: now + 1, delivery },
    { kind: 'verdict', at: now + 2, delivery, verdict: 'ack' },
    { kind: 'settled', at: now + 3, delivery },
  );
  return history;
};

export const wrongPlace: Plant = (history, pick) => {
  const delivery = at(of(history, 'delivered'), pick);
  if (delivery === undefined) return undefined;
  delivery.message = { ...delivery.message, offset: delivery.message.offset + 1_000 };
  return history;
};

export const deadLetterGone: Plant = (history, pick) => {
  const victim = at(history.final.deadLetters, pick);
  if (victim === undefined) return undefined;
  history.final.deadLetters = history.final.deadLetters.filter((one) => one !== victim);
  return history;
};

export const deadLetterTwice: Plant = (history, pick) => {
  const victim = at(history.final.deadLetters, pick);
  if (victim === undefined) return undefined;
  history.final.deadLetters = [...history.final.deadLetters, { ...victim }];
  return history;
};

export const deadLetterUnasked: Plant = (history, pick) => {
  const row = at(
    history.final.log.filter(({ id }) => !history.final.deadLetters.some((one) => one.id === id)),
    pick,
  );
  if (row === undefined) return undefined;
  history.final.deadLetters = [...history.final.deadLetters, { group: GROUPS[0].name, id: row.id }];
  return history;
};

export const leftover: Plant = (history) => {
  history.final.leftovers = ['group any: lag 3'];
  return history;
};
