import type { LogRow } from '../history.js';
import { acknowledged, at, of, unstore, type Mutable, type Plant } from './plant.js';

export const rolledBackButStored: Plant = (history, pick) => {
  const decision = at(
    of(history, 'decide').filter(({ decision }) => decision === 'commit'),
    pick,
  );
  if (decision === undefined) return undefined;
  decision.decision = 'rollback';
  return history;
};

export const committedButLost: Plant = (history, pick) => {
  const commits = new Set(
    of(history, 'decide')
      .filter(({ decision }) => decision === 'commit')
      .map(({ transaction }) => transaction),
  );
  const prepared = at(
    of(history, 'prepare').filter(({ transaction }) => commits.has(transaction)),
    pick,
  );
  return prepared && unstore(history, new Set(prepared.messages.map(({ id }) => id)));
};

export const decisionRefused: Plant = (history, pick) => {
  const decided = at(of(history, 'decided'), pick);
  if (decided === undefined) return undefined;
  const { at: when, transaction } = decided;
  history.events = [
    ...history.events,
    { kind: 'decide-refused', at: when + 1_000, transaction, code: 'TRANSACTION_CONFLICT' },
  ];
  return history;
};

export const early =
  (where: 'stored' | 'delivered'): Plant =>
  (history, pick) => {
    const timer = at(acknowledged(history, true), pick);
    if (timer?.dueAtMs === undefined) return undefined;
    const { id, dueAtMs } = timer;
    if (where === 'stored') {
      const row = history.final.log.find((one) => one.id === id) as Mutable<LogRow>;
      row.storedAtMs = dueAtMs - 50;
    } else {
      for (const delivery of of(history, 'delivered'))
        if (delivery.message.id === id) delivery.atMs = dueAtMs - 50;
    }
    return history;
  };

export const timerLost: Plant = (history, pick) => {
  const unsure = new Set(of(history, 'recall').map(({ id }) => id));
  for (const { id } of of(history, 'recalled')) unsure.delete(id);
  const timer = at(
    acknowledged(history, true).filter(({ id }) => !unsure.has(id)),
    pick,
  );
  return timer && unstore(history, new Set([timer.id]));
};

export const recalledButFired: Plant = (history, pick) => {
  const timer = at(acknowledged(history, true), pick);
  const now = history.events.at(-1)?.at ?? 0;
  if (timer === undefined) return undefined;
  history.events = [
    ...history.events,
    { kind: 'recall', at: now + 1, id: timer.id },
    { kind: 'recalled', at: now + 2, id: timer.id, answer: true },
  ];
  return history;
};
