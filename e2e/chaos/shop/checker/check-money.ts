import { isAccepted, type Facts } from './facts.js';
import type { Report } from './violation.js';

/** What the provider did, against what buyers did at its checkout and what they have for it. */
export function checkMoney(facts: Facts, report: Report): void {
  const { intents, orders, checkouts } = facts;
  for (const { paymentId, orderNo, status } of intents.values()) {
    const order = orders.get(orderNo);
    const buys = order?.status === 'PAID' && order.paymentId === paymentId;
    if (status === 'CAPTURED' && !buys)
      report('money-kept', `${paymentId} of ${orderNo}, which is ${order?.status ?? 'not there'}`);
  }
  for (const order of orders.values()) {
    if (order.status !== 'PAID') continue;
    const intent = intents.get(order.paymentId ?? '');
    if (intent?.status !== 'CAPTURED')
      report('unpaid-ticket', `${order.orderNo}: its payment is ${intent?.status ?? 'not there'}`);
    else if (intent.amountMinor !== order.totalMinor || intent.orderNo !== order.orderNo)
      report('unpaid-ticket', `${order.orderNo}: ${intent.amountMinor} for ${order.totalMinor}`);
  }
  const asked = new Set<string>();
  for (const checkout of checkouts) {
    if (checkout.outcome !== 'succeed') continue;
    asked.add(checkout.paymentId);
    const status = intents.get(checkout.paymentId)?.status ?? 'not there';
    // A declined payment stays declined: its checkout answers without taking anything.
    if (isAccepted(checkout) && status !== 'CAPTURED' && status !== 'REFUNDED' && status !== 'DECLINED')
      report('lost-payment', `${checkout.paymentId} of ${checkout.orderNo}: ${status} at the provider`);
  }
  for (const { paymentId, orderNo, status } of intents.values())
    if ((status === 'CAPTURED' || status === 'REFUNDED') && !asked.has(paymentId))
      report('phantom-payment', `${paymentId} of ${orderNo}: ${status}`);
}
