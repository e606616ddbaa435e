import { createHash } from 'node:crypto';
import type { Redis } from 'ioredis';
import { defineStockScripts } from '../../../../libs/redis-stock/src/scripts.js';
import type { LinkName, ProcessName, Service } from '../links.js';

/** What somebody does so that the shop takes the step; see `journeys.ts`. */
export type Journey =
  | 'buys'
  | 'cancels'
  | 'abandons'
  | 'cancels-and-pays'
  | 'pays-too-late'
  | 'gives-up'
  | 'redis-forgets'
  | 'redrives';

/** One place where the shop writes something that another process will rely on. */
export type Step = {
  name: string;
  what: string;
  /** Whoever asks, and is killed. */
  writer: Service;
  /** Whoever is asked, and is frozen. The mail server is not the shop's: the way to it is stalled. */
  peer: ProcessName | 'mail';
  link: LinkName;
  /** In the request, read as Latin-1. */
  pattern: string | RegExp;
  journey: Journey;
};

/** So much of a script's end is like no other's. */
const LUA_END = 300;
/** Of an order among a call's arguments: the reaper also calls when there is nothing to give back. */
const ORDER_NO = '[0-9a-z]{10}-[0-9a-z]{16}';

/** Redis is given a script once for each connection, and from then on its hash. */
export function script(command: string): RegExp {
  let pattern: RegExp | undefined;
  const collector = {
    defineCommand: (name: string, { lua }: { lua: string }): void => {
      if (name !== command) return;
      const hash = createHash('sha1').update(lua).digest('hex');
      pattern = new RegExp(`${hash}|${lua.slice(-LUA_END).replace(/\W/g, '\\$&')}`);
    },
  };
  defineStockScripts(collector as unknown as Redis);
  if (pattern === undefined) throw new Error(`there is no script ${command}`);
  return pattern;
}

const step = (
  name: string,
  what: string,
  [writer, peer]: [Service, ProcessName],
  pattern: string | RegExp,
  journey: Journey,
): Step => ({ name, what, writer, peer, link: `${writer}-${peer}`, pattern, journey });
/** A movement of the ledger: its kind is a parameter, which follows the statement. */
const movement = (kind: string): RegExp => new RegExp(`INSERT INTO ledger[^]*${kind}`);

/**
 * Every step of an order that writes, in the order in which it is taken. (The relay of an outbox is not among them: the shop's
 * services send half messages. `e2e/outbox/crash-points.ts` has its steps.)
 */
export const STEPS: readonly Step[] = [
  step('reserve', 'the hold is made', ['gateway', 'redis'], script('stockReserve'), 'buys'),
  step('submit', 'the order is queued', ['gateway', 'broker'], /order.{1,4}submitted/s, 'buys'),
  step('claim', 'the hold is claimed', ['order', 'redis'], script('stockClaim'), 'buys'),
  step('prepare', 'half messages of the order', ['order', 'broker'], /order.{1,4}created/s, 'buys'),
  step('insert', 'the order is written', ['order', 'postgres'], 'INSERT INTO orders', 'buys'),
  step('decide', 'the half messages are committed', ['order', 'broker'], '"commit"', 'buys'),
  step('deduct', 'the ledger takes the tickets', ['stock', 'postgres'], movement('DEDUCT'), 'buys'),
  step('commit', 'the ledger’s transaction is committed', ['stock', 'postgres'], /COMMIT/, 'buys'),
  step('mark sold', 'the hold is marked as sold', ['stock', 'redis'], script('stockMarkSold'), 'buys'),
  step('create payment', 'the payment is written', ['payment', 'postgres'], 'INSERT INTO payments', 'buys'),
  step('capture', 'the provider takes the money', ['payment', 'postgres'], /UPDATE provider_intents/, 'buys'),
  {
    ...step('webhook', 'the provider tells the shop', ['payment', 'gateway'], '/payments/webhook', 'buys'),
    link: 'payment-webhook',
  },
  step(
    'accept',
    'the payment is settled',
    ['payment', 'postgres'],
    /INSERT INTO webhook_events[^]*SUCCEEDED/,
    'buys',
  ),
  step('settle', 'the order is paid', ['order', 'postgres'], /UPDATE orders[^]*PAID/, 'buys'),
  step('confirm', 'the ledger confirms the tickets', ['stock', 'postgres'], movement('CONFIRM'), 'buys'),
  step(
    'open notice',
    'a notice is noted as due',
    ['notification', 'postgres'],
    'INSERT INTO deliveries',
    'buys',
  ),
  {
    ...{ name: 'notify', what: 'the mail is handed over', writer: 'notification', peer: 'mail' },
    ...{ link: 'notification-mail', pattern: '\r\n.\r\n', journey: 'buys' },
  },
  step(
    'close notice',
    'a notice is noted as sent',
    ['notification', 'postgres'],
    "SET status = 'SENT'",
    'buys',
  ),
  step(
    'cancel',
    'the order is cancelled by its buyer',
    ['order', 'postgres'],
    /UPDATE orders[^]*CANCELLED/,
    'cancels',
  ),
  step(
    'expire',
    'the order is cancelled when its time is up',
    ['order', 'postgres'],
    /UPDATE orders[^]*payment-timeout/,
    'abandons',
  ),
  step(
    'roll back',
    'the ledger gives the tickets back',
    ['stock', 'postgres'],
    movement('ROLLBACK'),
    'cancels',
  ),
  step('release', 'the hold is released', ['stock', 'redis'], script('stockRelease'), 'cancels'),
  step(
    're-acquire',
    'tickets are taken again for a late payment',
    ['stock', 'postgres'],
    movement('REACQUIRE'),
    'pays-too-late',
  ),
  step(
    'request refund',
    'the refund is written',
    ['payment', 'postgres'],
    'INSERT INTO refunds',
    'cancels-and-pays',
  ),
  {
    ...step('refund', 'the provider is asked for it', ['payment', 'payment'], '/refunds', 'cancels-and-pays'),
    link: 'payment-provider',
  },
  step(
    'finish refund',
    'the order is refunded',
    ['order', 'postgres'],
    /UPDATE orders[^]*REFUNDED/,
    'cancels-and-pays',
  ),
  step(
    'reap',
    'a hold that nobody asks for is given back',
    ['stock', 'redis'],
    new RegExp(`(${script('stockReap').source})[^]{0,500}${ORDER_NO}`),
    'gives-up',
  ),
  step(
    'rebuild',
    'lost counters are made from the ledger',
    ['stock', 'redis'],
    script('stockRebuild'),
    'redis-forgets',
  ),
  step('redrive', 'a dead letter is given back', ['ops', 'broker'], /redrive/i, 'redrives'),
];
