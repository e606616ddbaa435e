/** How many things break a rule, and the ids of the first few. */
export type Findings = { count: number; examples: readonly string[] };

export const none: Findings = { count: 0, examples: [] };

export type RedisCounters = {
  initial: number;
  free: number;
  held: number;
  sold: number;
  /** What the holds add up to, one by one; undefined when there are too many to look at. */
  holds: { held: number; sold: number } | undefined;
};

/** Everything that is known of one ticket type, in tickets. */
export type TicketTypeFacts = {
  ticketTypeId: string;
  /** As the organiser put it on sale. */
  quantity: number;
  /** The ledger's running total. */
  ledgerSold: number;
  /** DEDUCT + REACQUIRE − ROLLBACK, summed over the ledger's rows. */
  ledgerMovements: number;
  /** In orders that hold tickets: PENDING_PAYMENT and PAID. */
  ordered: number;
  /** In PAID orders. */
  paid: number;
  /** Undefined when Redis does not know the ticket type. */
  redis: RedisCounters | undefined;
};

/** What only the caller knows: how many tickets buyers asked for. */
export type Demand = {
  ticketTypeId: string;
  tickets: number;
  /** When the last buyer was told that it is sold out, epoch milliseconds. Undefined: not said. */
  lastSoldOutAtMs: number | undefined;
};

export type OrderFacts = {
  byStatus: Readonly<Record<string, number>>;
  /** Orders in a state that does not exist. */
  illegal: Findings;
  /** Order numbers in the `order` topic's `submitted` messages that are still retained. */
  accepted: number;
  /** Of those, the ones without an order row. */
  missing: Findings;
  /** Movements in the ledger for an order that does not exist. */
  ledgerOnly: Findings;
  /** REJECTED orders for a hold or a stock that had gone. */
  rejected: Findings;
  /** Times the counters in Redis were rebuilt or repaired from the ledger. */
  redisRebuilds: number;
};

export type MoneyFacts = {
  captured: number;
  /** Captured payments with neither a PAID order nor a finished refund. */
  unanswered: Findings;
  /** PAID orders without the captured payment that they name, or with another amount. */
  unpaid: Findings;
  /** PAID orders whose very payment was refunded, REFUNDED ones without a refund. */
  misrefunded: Findings;
};

export type EffectFacts = {
  paidOrders: number;
  /** PAID orders without exactly one DEDUCT. */
  deduct: Findings;
  /** PAID orders without exactly one CONFIRM. */
  confirm: Findings;
  /** CANCELLED orders whose tickets did not come back exactly once. */
  rollback: Findings;
  /** Movements that one order has more than once. */
  repeatedMovements: Findings;
  /** PAID orders without all three notifications sent. */
  unnotified: Findings;
  /** Notifications that exist twice for one subject, kind and channel. */
  repeatedNotifications: Findings;
};

export type BrokerFacts = {
  lag: readonly { group: string; lag: number }[];
  pastDueTimers: number;
  undecidedTransactions: number;
  parkedTransactions: number;
  deadLetters: readonly { group: string; count: number }[];
};

/** What the verdict is decided on: read once, from Postgres, Redis and the broker. */
export type VerdictSnapshot = {
  ticketTypes: readonly TicketTypeFacts[];
  /** With the tickets that were given back since the last sold-out answer. */
  demand: (Demand & { returnedSince: number }) | undefined;
  orders: OrderFacts;
  money: MoneyFacts;
  effects: EffectFacts;
  broker: BrokerFacts;
};
