import { encodePayload, MessagingError } from '#libs/messaging';
import type {
  BatchHandler,
  BrokerConsumer,
  BrokerPort,
  DeliveredMessage,
  MessageContract,
  OutgoingMessage,
  SendReceipt,
  Subscription,
} from '#libs/messaging';

/**
 * `silent`: takes the message and never answers. `stalled`: likewise, but it answers probes. `away`: unclear whether it was
 * stored. `full`: certainly not stored.
 */
export type SendMood = 'ok' | 'silent' | 'stalled' | 'away' | 'full';

/** A broker that does what the test says, where a real one could not be made to. */
export class ScriptedBroker {
  sendMood: SendMood = 'ok';
  readonly sent: OutgoingMessage[] = [];
  /** Ends each send that a silent broker has not answered. */
  readonly unanswered: ((error: Error) => void)[] = [];
  private readonly subscriptions: { subscription: Subscription; handler: BatchHandler }[] = [];

  /** As much of the port as the gateway uses. */
  get port(): BrokerPort {
    return this as unknown as BrokerPort;
  }

  send(messages: readonly OutgoingMessage[]): Promise<SendReceipt[]> {
    switch (this.sendMood) {
      case 'ok':
        this.sent.push(...messages);
        return Promise.resolve(messages.map(receiptOf));
      case 'silent':
      case 'stalled':
        return new Promise((_, reject) => this.unanswered.push(reject));
      case 'away':
        return Promise.reject(new MessagingError('BROKER_UNAVAILABLE', 'scripted'));
      case 'full':
        return Promise.reject(new MessagingError('QUEUE_FULL', 'scripted'));
    }
  }

  subscribe(subscription: Subscription, handler: BatchHandler): Promise<BrokerConsumer> {
    this.subscriptions.push({ subscription, handler });
    return Promise.resolve({ close: () => Promise.resolve() });
  }

  ready(): Promise<void> {
    return this.sendMood === 'ok' || this.sendMood === 'stalled'
      ? Promise.resolve()
      : Promise.reject(new MessagingError('BROKER_UNAVAILABLE', 'scripted'));
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  /** Delivers to every group that takes the message; resolves when all have settled it. */
  async deliver<Payload>(contract: MessageContract<Payload>, payload: NoInfer<Payload>): Promise<void> {
    const takers = this.subscriptions.filter(({ subscription }) =>
      subscription.topics.some(
        ({ topic, tags }) => topic === contract.topic && (!tags?.length || tags.includes(contract.tag)),
      ),
    );
    await Promise.all(takers.map(({ handler }) => handler([deliveredOf(contract, payload)])));
  }

  /** What was sent of one contract. */
  sentOf<Payload>({
    topic,
    tag,
  }: MessageContract<Payload>): { message: OutgoingMessage; payload: Payload }[] {
    return this.sent
      .filter((message) => message.topic === topic && message.tag === tag)
      .map((message) => ({ message, payload: JSON.parse(Buffer.from(message.body).toString()) as Payload }));
  }
}

const receiptOf = (message: OutgoingMessage): SendReceipt => ({
  status: 'SEND_OK',
  messageId: message.id ?? '',
  topic: message.topic,
  partition: 0,
  offset: 0,
  duplicate: false,
});

function deliveredOf<Payload>(contract: MessageContract<Payload>, payload: Payload): DeliveredMessage {
  const settle = (): Promise<void> => Promise.resolve();
  return {
    message: {
      id: 'scripted',
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
    signal: new AbortController().signal,
    ack: settle,
    retry: settle,
    deadLetter: settle,
    extend: settle,
  };
}
