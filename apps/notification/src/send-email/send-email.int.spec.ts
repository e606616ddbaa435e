import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { SendEmail } from '#libs/contracts';
import { UnavailableError } from '#libs/messaging';
import { NotificationConfig } from '../notification.config.js';
import { deliveryOf, NotificationUnderTest } from '../testing/notification-under-test.js';
import type { MailTransport } from './mail-transport.js';
import { SendEmailConsumer } from './send-email.consumer.js';

let service: NotificationUnderTest;
beforeAll(async () => {
  service = await NotificationUnderTest.start();
}, 60_000);
afterAll(() => service?.stop());

const config = NotificationConfig.parse({});
const consumerWith = (transport: Pick<MailTransport, 'sendMail'>): SendEmailConsumer =>
  new SendEmailConsumer(service.deliveries, transport as MailTransport, config);

let orders = 0;
function paid(to: string) {
  const subjectId = `0123456789-${String(++orders).padStart(16, '0')}`;
  const subject = `Your tickets: order ${subjectId} is paid — ünïcode`;
  return deliveryOf(SendEmail, {
    subjectId,
    kind: 'order-paid',
    to,
    subject,
    text: `Order ${subjectId} is yours.\nEnjoy!`,
  });
}
const statusOf = async (subjectId: string): Promise<string | undefined> =>
  (await service.database.delivery.findFirst({ where: { subjectId } }))?.status;

/** Waits for a state, not for a time. */
async function until(isSo: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 15_000;
  while (!(await isSo())) {
    if (Date.now() > deadline) throw new Error('not in time');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

describe('a mail', () => {
  test('arrives over SMTP as it was written', async () => {
    const command = paid('arrives@buyers.stampede.example');
    await consumerWith(service.transport).handle([command]);
    expect(await service.mailbox('arrives@buyers.stampede.example')).toEqual([
      {
        channel: 'email',
        recipient: 'arrives@buyers.stampede.example',
        subject: command.payload.subject,
        text: command.payload.text,
        id: `<order-paid.${command.payload.subjectId}@notifications.stampede.example>`,
        status: 'RECEIVED',
        at: expect.any(String),
      },
    ]);
    expect(await statusOf(command.payload.subjectId)).toBe('SENT');
  });

  test('is one mail for a command that comes twice, in one batch, in two, and in two at once', async () => {
    const to = 'once@buyers.stampede.example';
    const command = paid(to);
    const consumer = consumerWith(service.transport);
    await consumer.handle([command, command]);
    await consumer.handle([command]);
    await Promise.all([consumer.handle([command]), consumer.handle([command])]);
    expect(await service.mailbox(to)).toHaveLength(1);
  });

  test('is one mail when the process died between sending it and noting so', async () => {
    const to = 'crash@buyers.stampede.example';
    const command = paid(to);
    const dying = consumerWith({
      sendMail: async (mail) => {
        await service.transport.sendMail(mail);
        throw new Error('killed');
      },
    });
    await expect(dying.handle([command])).rejects.toThrow('killed');
    expect(await statusOf(command.payload.subjectId)).toBe('PENDING');
    await consumerWith(service.transport).handle([command]);
    expect(await statusOf(command.payload.subjectId)).toBe('SENT');
    expect(await service.mailbox(to)).toHaveLength(1);
  });

  test('that cannot be sent takes no other with it, and is the only one sent again', async () => {
    const [bad, good] = [paid('bad@buyers.stampede.example'), paid('good@buyers.stampede.example')];
    const tried: string[] = [];
    const refusing = consumerWith({
      sendMail: (mail) => {
        const to = mail.to as string;
        tried.push(to);
        if (to.startsWith('bad'))
          throw Object.assign(new Error('no such mailbox'), { responseCode: 550, command: 'RCPT TO' });
        return service.transport.sendMail(mail);
      },
    });
    await expect(refusing.handle([bad, good])).rejects.toThrow('1 of 2');
    expect(await service.mailbox('good@buyers.stampede.example')).toHaveLength(1);
    tried.length = 0;
    await refusing.handle([good]);
    // A 5xx answer is final: the message is dead-lettered instead of retried.
    await expect(refusing.handle([bad])).rejects.toMatchObject({ code: 'MAIL_REFUSED', kind: 'invalid' });
    expect(tried).toEqual(['bad@buyers.stampede.example']);
  });

  test('is noted as sent when it is, whatever becomes of the rest of its batch', async () => {
    const [quick, slow] = [paid('quick@buyers.stampede.example'), paid('slow@buyers.stampede.example')];
    let answer: () => void = () => undefined;
    const handling = consumerWith({
      sendMail: (mail) =>
        mail.to === slow.payload.to
          ? new Promise<never>((_, reject) => (answer = () => reject(new Error('never taken'))))
          : service.transport.sendMail(mail),
    }).handle([slow, quick]);
    await until(async () => (await statusOf(quick.payload.subjectId)) === 'SENT');
    expect(await statusOf(slow.payload.subjectId)).toBe('PENDING');
    answer();
    await expect(handling).rejects.toThrow('1 of 2');
    expect(await statusOf(slow.payload.subjectId)).toBe('PENDING');
  });

  test('is not begun once its lease is lost: its new owner sends it', async () => {
    const lost = paid('lost@buyers.stampede.example');
    const kept = paid('kept@buyers.stampede.example');
    const tried: unknown[] = [];
    const consumer = consumerWith({
      sendMail: (mail) => {
        tried.push(mail.to);
        return service.transport.sendMail(mail);
      },
    });
    await consumer.handle([{ ...lost, signal: AbortSignal.abort() }, kept]);
    expect(tried).toEqual([kept.payload.to]);
    expect(await statusOf(lost.payload.subjectId)).toBe('PENDING');
  });

  test.each(['AUTH PLAIN', 'MAIL FROM', 'EHLO'])(
    'is retried when the server refuses our %s',
    async (command) => {
      const refusing = consumerWith({
        sendMail: () => Promise.reject(Object.assign(new Error('no'), { responseCode: 535, command })),
      });
      await expect(refusing.handle([paid('later@buyers.stampede.example')])).rejects.toMatchObject({
        code: 'MAIL_FAILED',
        kind: 'transient',
      });
    },
  );

  test.each(['RCPT TO', 'DATA'])(
    'that the server does not take yet (grey-listed) is retried, and holds up no other: 451 to our %s',
    async (command) => {
      const notYet = consumerWith({
        sendMail: () => Promise.reject(Object.assign(new Error('later'), { responseCode: 451, command })),
      });
      const failure: unknown = await notYet
        .handle([paid('grey@buyers.stampede.example')])
        .catch((error: unknown) => error);
      expect(failure).toMatchObject({ code: 'MAIL_FAILED', kind: 'transient' });
      expect(failure).not.toBeInstanceOf(UnavailableError);
    },
  );

  test('is retried when the server is away', async () => {
    const away = consumerWith({ sendMail: () => Promise.reject(new Error('connect ECONNREFUSED')) });
    await expect(away.handle([paid('away@buyers.stampede.example')])).rejects.toMatchObject({
      kind: 'transient',
    });
  });
});

test('a mail with a NUL in it is kept, and holds up no other', async () => {
  const to = 'nul@buyers.stampede.example';
  const odd = { from: 'shop@stampede.example', to, subject: 'odd', html: '<p>a\0b</p>', text: 'a\0b' };
  const others = [paid(to), paid(to)];
  await Promise.all([service.transport.sendMail(odd), consumerWith(service.transport).handle(others)]);
  expect(await service.mailbox(to)).toHaveLength(3);
});

test('five hundred mails in batches all arrive', async () => {
  const to = 'bulk@buyers.stampede.example';
  const consumer = consumerWith(service.transport);
  const commands = Array.from({ length: 500 }, () => paid(to));
  for (let first = 0; first < commands.length; first += 100)
    await consumer.handle(commands.slice(first, first + 100));
  expect(await service.database.mail.count({ where: { recipient: to } })).toBe(500);
}, 30_000);
