import type { LogRow, SentMessage } from '../history.js';
import {
  acknowledged,
  at,
  isStored,
  of,
  unstore,
  type Event,
  type Mutable,
  type Plant,
  type MutableHistory,
} from './plant.js';

export const lostFromLog: Plant = (history, pick) => {
  const transactional = new Set(
    of(history, 'prepare').flatMap(({ messages }) => messages.map(({ id }) => id)),
  );
  const candidates = acknowledged(history, false).filter(({ id }) => !transactional.has(id));
  const victim = at(candidates, pick);
  return victim && unstore(history, new Set([victim.id]));
};

export const storedTwice: Plant = (history, pick) => {
  const row = at(history.final.log, pick);
  if (row === undefined) return undefined;
  const end = history.final.log.filter(({ partition }) => partition === row.partition).length;
  history.final.log = [...history.final.log, { ...row, offset: end }];
  return history;
};

export const neverSent: Plant = (history) => {
  const end = history.final.log.filter(({ partition }) => partition === 0).length;
  const ghost = { topic: 'topic', partition: 0, offset: end, id: 'ghost', storedAtMs: 0 };
  history.final.log = [...history.final.log, ghost];
  return history;
};

export const refusedButStored: Plant = (history, pick) => {
  const refused = new Set(of(history, 'send-refused').map(({ call }) => call));
  const call = at(
    of(history, 'send').filter((event) => refused.has(event.call)),
    pick,
  );
  const [message] = call?.messages ?? [];
  if (message === undefined) return undefined;
  const end = history.final.log.filter(({ partition }) => partition === 0).length;
  history.final.log = [
    ...history.final.log,
    { topic: 'topic', partition: 0, offset: end, id: message.id, storedAtMs: 0 },
  ];
  return history;
};

/** Acknowledged messages that only one call ever carried, with that call and its answer. */
function sentOnce(history: MutableHistory): { id: string; send: Event<'send'>; sent: Event<'sent'> }[] {
  const carried = [...of(history, 'send'), ...of(history, 'prepare')].flatMap(({ messages }) => messages);
  const times = new Map<string, number>();
  for (const { id } of carried) times.set(id, (times.get(id) ?? 0) + 1);
  const answers = new Map(of(history, 'sent').map((event) => [event.call, event]));
  return of(history, 'send').flatMap((send) => {
    const sent = answers.get(send.call);
    if (sent === undefined) return [];
    return send.messages.filter(({ id }) => times.get(id) === 1).map(({ id }) => ({ id, send, sent }));
  });
}

export const nonMonotonic: Plant = (history, pick) => {
  const place = new Map(
    history.final.log.map(({ id, partition, storedAtMs }) => [id, { partition, storedAtMs }]),
  );
  const once = sentOnce(history).filter(
    ({ id, send }) => place.has(id) && send.messages[0]?.dueAtMs === undefined,
  );
  const pairs = once.flatMap((first, i) =>
    once
      .slice(i + 1)
      .filter(
        ({ id, send }) => send !== first.send && place.get(id)?.partition === place.get(first.id)?.partition,
      )
      .map((second) => [first, second] as const),
  );
  const [first, second] = at(pairs, pick) ?? [];
  if (first === undefined || second === undefined) return undefined;
  // What lies first was asked for after the other had been acknowledged.
  first.send.at = second.sent.at + 0.4;
  first.sent.at = second.sent.at + 0.5;
  history.events.sort((left, right) => left.at - right.at);
  return history;
};

export const batchReversed: Plant = (history, pick) => {
  const twice = (ids: readonly SentMessage[]): SentMessage[] =>
    ids.filter(({ key }) => ids.filter((other) => other.key === key).length > 1);
  const calls = new Map(of(history, 'send').map(({ call, messages }) => [call, twice(messages)]));
  const sent = at(
    of(history, 'sent').filter(({ call }) => (calls.get(call)?.length ?? 0) > 1),
    pick,
  );
  const [first, second] = calls.get(sent?.call ?? '') ?? [];
  const same =
    calls.get(sent?.call ?? '')?.find(({ id, key }) => key === first?.key && id !== first?.id) ?? second;
  const one = sent?.receipts.find(({ id }) => id === first?.id) as Mutable<{ offset: number }> | undefined;
  const other = sent?.receipts.find(({ id }) => id === same?.id) as Mutable<{ offset: number }> | undefined;
  if (one === undefined || other === undefined) return undefined;
  [one.offset, other.offset] = [other.offset, one.offset];
  return history;
};

export const wrongReceipt: Plant = (history, pick) => {
  const receipts = of(history, 'sent')
    .flatMap((event) => event.receipts)
    .filter(({ partition }) => partition >= 0);
  const receipt = at(receipts, pick) as Mutable<{ offset: number }> | undefined;
  if (receipt === undefined) return undefined;
  receipt.offset += 1_000;
  return history;
};

export const gap: Plant = (history, pick) => {
  const row = at(history.final.log, pick) as Mutable<LogRow> | undefined;
  if (row === undefined) return undefined;
  row.offset += 1_000;
  return history;
};

/** One of several messages that belong together is not there. */
export const torn =
  (kind: 'send' | 'prepare'): Plant =>
  (history, pick) => {
    const whole = of(history, kind).filter(
      ({ messages }) => messages.length > 1 && messages.every(({ id }) => isStored(history, id)),
    );
    const [message] = at(whole, pick)?.messages ?? [];
    return message && unstore(history, new Set([message.id]));
  };
