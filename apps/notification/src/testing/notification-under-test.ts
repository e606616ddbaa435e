import { pino } from 'pino';
import { PrismaClient } from '#prisma/notification';
import type { MessageContract } from '#libs/messaging';
import { encodePayload, type Delivery } from '#libs/messaging';
import { openDatabase } from '#libs/service-kit';
import { startPostgres } from '../../../../libs/service-kit/src/testing/index.js';
import { DeliveryStore } from '../deliveries/delivery-store.js';
import { MailboxStore } from '../mailbox/mailbox-store.js';
import { ReadMailbox, type MailboxEntry } from '../mailbox/read-mailbox.js';
import { SmtpMailbox } from '../mailbox/smtp-mailbox.js';
import { openMailTransport, type MailTransport } from '../send-email/mail-transport.js';

const logger = pino({ level: 'silent' });

/** The service's parts on a real Postgres and a real SMTP connection to the local mailbox. */
export class NotificationUnderTest {
  readonly deliveries: DeliveryStore;

  private constructor(
    readonly database: PrismaClient,
    readonly transport: MailTransport,
    readonly smtpPort: number,
    private readonly release: () => Promise<void>,
  ) {
    this.deliveries = new DeliveryStore(database);
  }

  static async start(): Promise<NotificationUnderTest> {
    const postgres = await startPostgres();
    const url = postgres.url('notification');
    const database = openDatabase(PrismaClient, { url, schema: 'notification', logger });
    const mailbox = new SmtpMailbox(new MailboxStore(database), logger);
    const port = await mailbox.listen(0);
    const transport = openMailTransport(`smtp://127.0.0.1:${port}`);
    return new NotificationUnderTest(database, transport, port, async () => {
      transport.close();
      await mailbox.close();
      await database.$disconnect();
      await postgres.stop();
    });
  }

  stop(): Promise<void> {
    return this.release();
  }

  async mailbox(to: string): Promise<MailboxEntry[]> {
    return (await new ReadMailbox(this.database).execute({ to, limit: 50 })).items;
  }
}

/** A message as the pipeline hands it to a handler. */
export function deliveryOf<Payload>(
  contract: MessageContract<Payload>,
  payload: NoInfer<Payload>,
): Delivery<Payload> {
  return {
    contract,
    payload,
    message: {
      id: 'test',
      topic: contract.topic,
      tag: contract.tag,
      key: contract.key(payload),
      partition: 0,
      offset: 0,
      headers: {},
      body: encodePayload(payload),
      bornAtMs: 0,
      storedAtMs: 0,
      priority: 4,
    },
    attempt: 1,
    history: [],
    tx: undefined,
    signal: new AbortController().signal,
    extend: () => Promise.resolve(),
  };
}
