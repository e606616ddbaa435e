import { slipsIn, type Mutant } from '../mutant.js';

const NOTIFICATION = 'apps/notification/src';
const WORDS = [`${NOTIFICATION}/domain/notifications.spec.ts`];
const MAILS = [`${NOTIFICATION}/send-email/send-email.int.spec.ts`];
const DELIVERIES = [`${NOTIFICATION}/deliveries/deliveries.int.spec.ts`];

/** Everybody is told what became of their order and their money, once on every channel. */
export const TELLING: readonly Mutant[] = [
  ...slipsIn(`${NOTIFICATION}/domain/notifications.ts`, 'notices', WORDS, [
    [
      'free-tickets-were-paid',
      'order.totalMinor === 0\n        ? `Order',
      'order.totalMinor === -1\n        ? `Order',
    ],
    [
      'who-cancelled-did-not-pay-in-time',
      "order.reason === 'buyer' ? 'as you asked'",
      "order.reason === undefined ? 'as you asked'",
    ],
    ['a-declined-payment-of-nobody', 'if (buyerId === undefined) return undefined;', ''],
    [
      'a-refund-that-ends-the-order-is-told-twice',
      "|| (reason !== 'paid-twice' && reason !== 'order-rejected')",
      '',
    ],
    [
      'a-second-payment-is-not-told',
      "(reason !== 'paid-twice' && reason !== 'order-rejected')",
      "reason !== 'order-rejected'",
    ],
    ['a-code-that-has-expired', 'if (nowMs >= Date.parse(request.expiresAt)) return undefined;', ''],
    ['codes-go-everywhere', "channels: ['sms'],", 'channels: EVERYWHERE,'],
    ['no-push', "['sms', 'email', 'push'];", "['sms', 'email'];"],
    [
      'each-payment-of-an-order-is-one',
      "subjectId: paymentId,\n    kind: 'payment-declined',",
      "subjectId: orderNo,\n    kind: 'payment-declined',",
    ],
  ]),
  ...slipsIn(
    `${NOTIFICATION}/domain/addresses.ts`,
    'notices',
    [`${NOTIFICATION}/domain/addresses.spec.ts`],
    [
      ['a-recipient-is-smuggled-in', '&& SAFE_LOCAL_PART.test(buyerId)', ''],
      [
        'each-try-is-another-mail',
        'return `<${kind}.${subject}@',
        'return `<${Math.random()}${kind}.${subject}@',
      ],
      [
        'each-try-is-another-command',
        'return `${channel}:${kind}:${subjectId}`;',
        'return `${channel}:${kind}:${subjectId}:${Math.random()}`;',
      ],
      [
        'all-channels-are-one-command',
        'return `${channel}:${kind}:${subjectId}`;',
        'return `${kind}:${subjectId}`;',
        { specs: [`${NOTIFICATION}/dispatch/dispatch-notifications.spec.ts`] },
      ],
    ],
  ),
  ...slipsIn(
    `${NOTIFICATION}/dispatch/dispatch-notifications.ts`,
    'notices',
    [`${NOTIFICATION}/dispatch/dispatch-notifications.spec.ts`],
    [
      [
        'under-no-id',
        'const options = { id: commandIdOf(subjectId, kind, channel) };',
        'const options = {};',
      ],
    ],
  ),
  ...slipsIn(`${NOTIFICATION}/deliveries/deliver-once.ts`, 'notices', MAILS, [
    [
      'are-noted-before-they-are-sent',
      'await send(delivery);\n        await store.close(channel, delivery);',
      'await store.close(channel, delivery);\n        await send(delivery);',
    ],
    ['are-noted-at-the-end-of-the-batch', 'await store.close(channel, delivery);\n', ''],
    ['are-begun-after-the-lease', 'if (signals.get(delivery)?.aborted === true) continue;', ''],
    ['a-failure-is-swallowed', 'if (failures.length === 0) return;', 'if (failures.length >= 0) return;'],
    ['a-failure-alone-loses-its-kind', 'if (batch.length === 1) throw failures[0];', ''],
    ['one-failure-stops-the-others', 'failures.push(error);\n', 'throw error;\n'],
  ]),
  ...slipsIn(
    `${NOTIFICATION}/deliveries/delivery-store.ts`,
    'notices',
    [...DELIVERIES, ...MAILS],
    [
      ['what-is-sent-is-sent-again', "\n  WHERE deliveries.status = 'PENDING'\n  RETURNING", '\n  RETURNING'],
      [
        'what-died-is-not-sent',
        "DO UPDATE SET status = deliveries.status\n  WHERE deliveries.status = 'PENDING'",
        'DO NOTHING',
      ],
    ],
  ),
  ...slipsIn(`${NOTIFICATION}/send-email/send-email.consumer.ts`, 'notices', MAILS, [
    [
      'a-server-that-is-away-is-an-attempt',
      "command === 'RCPT TO' || command === 'DATA'",
      "command !== 'nothing'",
    ],
    ['a-refused-mail-is-tried-again', 'return responseCode >= 500', 'return responseCode >= 600'],
    ['a-grey-listed-mail-is-refused', 'return responseCode >= 500', 'return responseCode >= 400'],
  ]),
  ...slipsIn(`${NOTIFICATION}/mailbox/mailbox-store.ts`, 'notices', MAILS, [
    [
      'the-mailbox-takes-a-mail-twice',
      'ON CONFLICT (message_id) DO NOTHING',
      'ON CONFLICT (message_id) DO UPDATE SET message_id = mailbox.message_id',
      {
        equivalent:
          'The row is written over with its own key and stays as it was: another way of doing nothing.',
      },
    ],
  ]),
];
