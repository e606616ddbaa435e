import type {
  Decision,
  History,
  HistoryEvent,
  LogRow,
  ReceiptFact,
  SentMessage,
  Verdict,
} from './history.js';

export type MessageFact = SentMessage & {
  /** When it was first asked for: by `send`, or by the decision of its transaction. */
  invokedAt: number;
  /** When it was first confirmed. */
  ackedAt: number | undefined;
  receipts: ReceiptFact[];
  /** Calls that carried it, and how many of them were refused. */
  calls: number;
  refusals: number;
  transaction: string | undefined;
  recall: 'none' | 'unknown' | 'confirmed' | 'denied';
};

export type TransactionFact = {
  name: string;
  messages: readonly SentMessage[];
  prepared: boolean;
  decision: Decision | undefined;
  refusals: string[];
};

export type DeliveryFact = Extract<HistoryEvent, { kind: 'delivered' }> & {
  verdict: Verdict | undefined;
  verdictAt: number;
  /** Undefined unless the broker confirmed the verdict. */
  settledAt: number | undefined;
  refused: boolean;
};

export type GroupFact = {
  name: string;
  order: 'unordered' | 'by-key';
  /** By message id, in the order of delivery. */
  deliveries: Map<string, DeliveryFact[]>;
  deadLetters: Map<string, number>;
};

/** A history by subject. */
export type Facts = {
  messages: Map<string, MessageFact>;
  /** Calls of several messages, none of which was sent before. */
  batches: { call: string; messages: readonly SentMessage[] }[];
  transactions: Map<string, TransactionFact>;
  groups: GroupFact[];
  /** By message id. */
  log: Map<string, LogRow[]>;
};

/** A verdict after which the group is done with the message. */
export const isFinal = ({ verdict }: DeliveryFact): boolean => verdict === 'ack' || verdict === 'dead-letter';

/** `order/3@17` */
export const placeOf = (
  topic: string,
  { partition, offset }: { partition: number; offset: number },
): string => `${topic}/${partition}@${offset}`;

export function collectFacts({ events, final }: History): Facts {
  const collector = new Collector();
  for (const { name, order } of final.groups) {
    collector.groups.set(name, { name, order, deliveries: new Map(), deadLetters: new Map() });
  }
  for (const event of events) collector.take(event);
  for (const { group, id } of final.deadLetters) {
    const { deadLetters } = collector.group(group);
    deadLetters.set(id, (deadLetters.get(id) ?? 0) + 1);
  }
  const log = new Map<string, LogRow[]>();
  for (const row of final.log) pushTo(log, row.id, row);
  const { messages, batches, transactions, groups } = collector;
  return { messages, batches, transactions, groups: [...groups.values()], log };
}

class Collector {
  readonly messages = new Map<string, MessageFact>();
  readonly batches: { call: string; messages: readonly SentMessage[] }[] = [];
  readonly transactions = new Map<string, TransactionFact>();
  readonly groups = new Map<string, GroupFact>();
  private readonly calls = new Map<string, readonly SentMessage[]>();
  private readonly deliveries = new Map<string, DeliveryFact>();

  take(event: HistoryEvent): void {
    switch (event.kind) {
      case 'send':
        return this.send(event.call, event.messages, event.at);
      case 'sent':
        return this.acknowledge(event.receipts, event.at);
      case 'send-refused':
        for (const { id } of this.calls.get(event.call) ?? []) this.message(id).refusals += 1;
        return;
      case 'prepare':
        return this.prepare(event.transaction, event.messages, event.at);
      case 'recall':
        this.message(event.id).recall = 'unknown';
        return;
      case 'recalled':
        this.message(event.id).recall = event.answer ? 'confirmed' : 'denied';
        return;
      case 'delivered':
        return this.delivered(event);
      case 'prepared':
      case 'decide':
      case 'decided':
      case 'decide-refused':
        return this.decide(event);
      case 'verdict':
      case 'settled':
      case 'refused':
        return this.settle(event);
    }
  }

  group(name: string): GroupFact {
    return required(this.groups.get(name), `group ${name}`);
  }

  private message(id: string): MessageFact {
    return required(this.messages.get(id), `message ${id}`);
  }

  private send(call: string, messages: readonly SentMessage[], at: number): void {
    this.calls.set(call, messages);
    if (messages.length > 1 && messages.every(({ id }) => !this.messages.has(id)))
      this.batches.push({ call, messages });
    for (const message of messages) this.add(message, at, undefined).calls += 1;
  }

  private add(message: SentMessage, at: number, transaction: string | undefined): MessageFact {
    const known = this.messages.get(message.id);
    if (known !== undefined) return known;
    const fact: MessageFact = {
      ...message,
      invokedAt: at,
      ackedAt: undefined,
      receipts: [],
      calls: 0,
      refusals: 0,
      transaction,
      recall: 'none',
    };
    this.messages.set(message.id, fact);
    return fact;
  }

  private acknowledge(receipts: readonly ReceiptFact[], at: number): void {
    for (const receipt of receipts) {
      const message = this.message(receipt.id);
      message.ackedAt ??= at;
      message.receipts.push(receipt);
    }
  }

  private prepare(name: string, messages: readonly SentMessage[], at: number): void {
    this.transactions.set(name, { name, messages, prepared: false, decision: undefined, refusals: [] });
    for (const message of messages) this.add(message, at, name);
  }

  private decide(event: HistoryEvent & { kind: 'prepared' | 'decide' | 'decided' | 'decide-refused' }): void {
    const transaction = required(this.transactions.get(event.transaction), event.transaction);
    if (event.kind === 'prepared') {
      transaction.prepared = true;
    } else if (event.kind === 'decide') {
      transaction.decision ??= event.decision;
      for (const { id } of transaction.messages) this.message(id).invokedAt = event.at;
    } else if (event.kind === 'decided') {
      if (event.decision === 'commit') this.acknowledge(event.receipts, event.at);
    } else {
      transaction.refusals.push(event.code);
    }
  }

  private delivered(event: Extract<HistoryEvent, { kind: 'delivered' }>): void {
    const delivery: DeliveryFact = {
      ...event,
      verdict: undefined,
      verdictAt: Infinity,
      settledAt: undefined,
      refused: false,
    };
    this.deliveries.set(event.delivery, delivery);
    pushTo(this.group(event.group).deliveries, event.message.id, delivery);
  }

  private settle(event: HistoryEvent & { kind: 'verdict' | 'settled' | 'refused' }): void {
    const delivery = required(this.deliveries.get(event.delivery), `delivery ${event.delivery}`);
    if (event.kind === 'verdict') {
      delivery.verdict = event.verdict;
      delivery.verdictAt = event.at;
    } else if (event.kind === 'settled') {
      delivery.settledAt = event.at;
    } else {
      delivery.refused = true;
    }
  }
}

export function pushTo<Key, Item>(lists: Map<Key, Item[]>, key: Key, item: Item): void {
  const list = lists.get(key);
  if (list === undefined) lists.set(key, [item]);
  else list.push(item);
}

/** A history that answers what was never asked was not written by these workers. */
function required<Value>(value: Value | undefined, what: string): Value {
  if (value === undefined) throw new Error(`the history speaks of ${what} before it was there`);
  return value;
}
