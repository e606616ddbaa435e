import type { ViolationKind } from '../violation.js';
import {
  eventsOf,
  remove,
  replace,
  toOneOf,
  told,
  type LooseHistory,
  type Order,
  type Plant,
} from './plant.js';

const withStatus = (history: LooseHistory, status: string): Order[] =>
  history.books.orders.filter((order) => order.status === status);
const intentOf = (
  { books }: LooseHistory,
  { paymentId }: Order,
): LooseHistory['books']['intents'][number] | undefined =>
  books.intents.find((intent) => intent.paymentId === paymentId);

/** The order is gone from every book but the buyer's memory. */
const lose: Plant = (history, pick) =>
  toOneOf(told(history), pick, (order) => {
    const { books } = history;
    remove(books.orders, order);
    for (const table of ['intents', 'holds'] as const)
      books[table] = books[table].filter(({ orderNo }) => orderNo !== order.orderNo) as never;
    books.mails = books.mails.filter(({ subject }) => !subject.includes(order.orderNo));
  });

const anotherOrder =
  (change: (order: Order) => Partial<Order>): Plant =>
  (history, pick) =>
    toOneOf(told(history), pick, (order) => {
      const orderNo = order.orderNo.replace(/.{6}$/, 'zzzzzz');
      history.books.orders.push({ ...order, orderNo, ...change(order) });
    });

const asStatus =
  (from: string, to: string): Plant =>
  (history, pick) =>
    toOneOf(withStatus(history, from), pick, (order) => {
      order.status = to;
      order.history.push({ status: to });
    });

const answered =
  (change: { status: number; code?: string; hasRetryAfter?: boolean }): Plant =>
  (history, pick) =>
    toOneOf(eventsOf(history, 'read'), pick, (read) => {
      const { history: _, ...rest } = read;
      replace(history, read, { ...rest, answer: change });
    });

/** At least one fault of every kind that `VIOLATIONS` lists. */
export const PLANTED: readonly { name: string; kind: ViolationKind; plant: Plant }[] = [
  { name: 'an accepted order that is nowhere', kind: 'lost-order', plant: lose },
  {
    name: 'an accepted order that is rejected',
    kind: 'taken-back',
    plant: (history, pick) =>
      toOneOf(told(history), pick, (order) => {
        order.status = 'REJECTED';
        order.history = [{ status: 'QUEUED' }, { status: 'REJECTED' }];
      }),
  },
  {
    name: 'a key that was told two numbers',
    kind: 'second-order',
    plant: (history, pick) =>
      toOneOf(
        eventsOf(history, 'order').filter(({ orderNo }) => orderNo !== undefined),
        pick,
        (event) => history.events.push({ ...event, orderNo: `${event.orderNo?.slice(0, -1)}z` }),
      ),
  },
  { name: 'a second order under one key', kind: 'second-order', plant: anotherOrder(() => ({})) },
  {
    name: 'an order of somebody who never asked',
    kind: 'phantom-order',
    plant: anotherOrder(() => ({ buyer: 'nobody' })),
  },
  {
    name: 'an order of somebody who was refused',
    kind: 'phantom-order',
    plant: (history, pick) =>
      toOneOf(told(history), pick, (order) => {
        history.events = history.events.filter(({ buyer }) => buyer !== order.buyer);
        history.events.push({
          ...{ kind: 'order', key: 'k', ticketTypeId: order.ticketTypeId, quantity: 1, buyer: order.buyer },
          ...{ askedAtMs: 1, answeredAtMs: 2, answer: { status: 409, code: 'SOLD_OUT' } },
        });
        order.status = 'PAID';
      }),
  },
  {
    name: 'somebody else’s order number',
    kind: 'phantom-order',
    plant: (history, pick) => toOneOf(told(history), pick, (order) => (order.buyer = 'nobody')),
  },
  {
    name: 'an accepted order that nobody knows',
    kind: 'forgotten',
    plant: answered({ status: 404, code: 'ORDER_NOT_FOUND' }),
  },
  {
    name: 'a look that sees less than the one before',
    kind: 'went-back',
    plant: (history, pick) =>
      toOneOf(
        eventsOf(history, 'read').filter((read) => (read.history?.length ?? 0) > 1),
        pick,
        (read) =>
          history.events.push({
            ...read,
            askedAtMs: read.answeredAtMs + 1,
            answeredAtMs: read.answeredAtMs + 2,
            history: ['QUEUED'],
          }),
      ),
  },
  {
    name: 'a look that sees what is not written',
    kind: 'went-back',
    plant: (history, pick) =>
      toOneOf(eventsOf(history, 'read'), pick, (read) =>
        replace(history, read, { ...read, history: ['QUEUED', 'REJECTED'] }),
      ),
  },
  { name: 'a way that there is not', kind: 'impossible-history', plant: asStatus('REFUNDED', 'PAID') },
  {
    name: 'an order half-way to its refund',
    kind: 'impossible-history',
    plant: asStatus('PAID', 'REFUNDING'),
  },
  {
    name: 'an order that waits for ever',
    kind: 'impossible-history',
    plant: (history, pick) =>
      toOneOf(history.books.orders, pick, (order) => {
        order.status = 'PENDING_PAYMENT';
        order.history = [{ status: 'QUEUED' }, { status: 'PENDING_PAYMENT' }];
      }),
  },
  {
    name: 'a state that its history does not have',
    kind: 'impossible-history',
    plant: (history, pick) => toOneOf(history.books.orders, pick, (order) => order.history.pop()),
  },
  {
    name: 'a cancelled order that is paid',
    kind: 'cancel-undone',
    plant: (history, pick) =>
      toOneOf(eventsOf(history, 'cancel'), pick, ({ orderNo }) => {
        for (const order of history.books.orders) if (order.orderNo === orderNo) order.status = 'PAID';
      }),
  },
  {
    name: 'one ticket too many',
    kind: 'oversold',
    plant: (history) => {
      for (const type of history.books.ticketTypes) type.quantity = withStatus(history, 'PAID').length - 1;
      return withStatus(history, 'PAID').length > 0;
    },
  },
  {
    name: 'a buyer with two tickets where one is allowed',
    kind: 'over-limit',
    plant: (history, pick) => toOneOf(withStatus(history, 'PAID'), pick, (order) => (order.quantity = 2)),
  },
  {
    name: 'a hold of an order that is over',
    kind: 'stray-hold',
    plant: (history, pick) =>
      toOneOf(
        history.books.holds.filter(({ state }) => state === 'released'),
        pick,
        (hold) => (hold.state = 'claimed'),
      ),
  },
  {
    name: 'a hold of no order',
    kind: 'stray-hold',
    plant: (history, pick) =>
      toOneOf(history.books.holds, pick, (hold) =>
        history.books.holds.push({ ...hold, orderNo: '0123456789-zzzzzzzzzzzzzzzz', state: 'held' }),
      ),
  },
  {
    name: 'money for an order that is cancelled',
    kind: 'money-kept',
    plant: (history, pick) =>
      toOneOf(withStatus(history, 'REFUNDED'), pick, (order) => {
        const intent = intentOf(history, order);
        if (intent !== undefined) intent.status = 'CAPTURED';
      }),
  },
  {
    name: 'a second payment of a paid order',
    kind: 'money-kept',
    plant: (history, pick) =>
      toOneOf(history.books.intents, pick, (intent) =>
        history.books.intents.push({ ...intent, paymentId: 'second', status: 'CAPTURED' }),
      ),
  },
  {
    name: 'a checkout that the provider does not know',
    kind: 'lost-payment',
    plant: (history, pick) => toOneOf(history.books.intents, pick, (intent) => (intent.status = 'OPEN')),
  },
  {
    name: 'a capture without a checkout',
    kind: 'phantom-payment',
    plant: (history, pick) =>
      toOneOf(eventsOf(history, 'checkout'), pick, (checkout) => remove(history.events, checkout)),
  },
  {
    name: 'a ticket whose money went back',
    kind: 'unpaid-ticket',
    plant: (history, pick) =>
      toOneOf(withStatus(history, 'PAID'), pick, (order) => {
        const intent = intentOf(history, order);
        if (intent !== undefined) intent.status = 'REFUNDED';
      }),
  },
  {
    name: 'a ticket without a payment',
    kind: 'unpaid-ticket',
    plant: (history, pick) => toOneOf(withStatus(history, 'PAID'), pick, (order) => (order.paymentId = null)),
  },
  {
    name: 'a ticket at another price',
    kind: 'unpaid-ticket',
    plant: (history, pick) => toOneOf(withStatus(history, 'PAID'), pick, (order) => (order.totalMinor += 1)),
  },
  {
    name: 'an end that nobody was told of',
    kind: 'not-told',
    plant: (history, pick) =>
      toOneOf(history.books.orders, pick, ({ orderNo }) => {
        history.books.mails = history.books.mails.filter(({ subject }) => !subject.includes(orderNo));
      }),
  },
  {
    name: 'the same mail under two ids',
    kind: 'told-twice',
    plant: (history, pick) =>
      toOneOf(history.books.mails, pick, (mail) => history.books.mails.push({ ...mail, messageId: 'other' })),
  },
  {
    name: 'an answer that is an accident',
    kind: 'wrong-answer',
    plant: answered({ status: 500, code: 'INTERNAL_ERROR' }),
  },
  {
    name: 'a busy shop that does not say when',
    kind: 'wrong-answer',
    plant: answered({ status: 503, code: 'OVERLOADED' }),
  },
  {
    name: 'a code of another call',
    kind: 'wrong-answer',
    plant: answered({ status: 409, code: 'SOLD_OUT' }),
  },
  {
    name: 'a 202 without a number',
    kind: 'wrong-answer',
    plant: (history, pick) =>
      toOneOf(
        eventsOf(history, 'order').filter(({ answer }) => answer.status === 202),
        pick,
        (event) => {
          const { orderNo: _, ...rest } = event;
          replace(history, event, rest);
        },
      ),
  },
  {
    name: 'no answer though nothing was struck',
    kind: 'unanswered',
    plant: (history, pick) => {
      history.struck = [{ victim: 'process:order', how: 'freeze', fromMs: 0, untilMs: Infinity }];
      return answered({ status: 0 })(history, pick);
    },
  },
  {
    name: 'an answer that took too long',
    kind: 'unanswered',
    plant: (history, pick) => {
      history.struck = [];
      return toOneOf(history.events, pick, (event) =>
        replace(history, event, { ...event, answeredAtMs: event.askedAtMs + 60_000 }),
      );
    },
  },
  {
    name: 'a dead letter',
    kind: 'dead-letter',
    plant: (history) => history.books.deadLetters.push({ group: 'stock.confirm', count: 1 }) > 0,
  },
  {
    name: 'a check of the verdict that fails',
    kind: 'verdict',
    plant: (history) => history.books.verdict.checks.push({ name: 'quiet', ok: false, detail: 'lag' }) > 0,
  },
  {
    name: 'a process that is wedged',
    kind: 'not-ready',
    plant: (history) => history.notReady.push('order') > 0,
  },
  {
    name: 'a process that gave up',
    kind: 'unexpected-end',
    plant: (history) => history.ends.push({ process: 'stock', how: 'stock ended with code 1', atMs: 5 }) > 0,
  },
];
