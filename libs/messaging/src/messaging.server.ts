import { Inject, Injectable, Optional } from '@nestjs/common';
import {
  BaseRpcContext,
  Server,
  type CustomTransportStrategy,
  type MessageHandler,
} from '@nestjs/microservices';
import { isObservable, lastValueFrom } from 'rxjs';
import type { BrokerConsumer, BrokerPort } from './broker-port.js';
import { CheckBacks } from './check-backs.js';
import { MESSAGING_TRANSPORT, patternOf, type ConsumerDeclaration } from './consume.decorator.js';
import { DeliveryPipeline, type ConsumerTrouble, type Route } from './delivery-pipeline.js';
import { MessagingError } from './errors.js';
import { INBOX_STORE, type InboxStore } from './inbox.js';
import { BROKER_PORT, MESSAGING_OPTIONS, type MessagingOptions } from './messaging.options.js';
import { silentLogger } from './observer.js';
import { DEFAULT_RETRY } from './retry.js';
import { planSubscriptions, type GroupPlan, type PlannedHandler } from './subscription-plan.js';

const DEFAULT_DRAIN_MS = 5_000;
/** The default of `Subscription.leaseMs`. */
const DEFAULT_LEASE_MS = 30_000;

/** What `switchToRpc().getContext()` answers in guards and interceptors; `getData()` is the `Delivery`, or the batch of them. */
export class ConsumeContext extends BaseRpcContext<[string, string]> {
  getGroup(): string {
    return this.getArgs()[0];
  }

  /** `topic.tag`. */
  getContract(): string {
    return this.getArgs()[1];
  }
}

/**
 * Brings messages to `@Consume` methods, as a custom transport of Nest, so that guards, pipes,
 * interceptors and filters apply to them:
 *
 *     app.connectMicroservice({ strategy: app.get(MessagingServer) });
 *
 * Subscribes on `listen`, one subscription per group; drains on `close`.
 */
@Injectable()
export class MessagingServer extends Server implements CustomTransportStrategy {
  override readonly transportId = MESSAGING_TRANSPORT;
  /** Errors reach the pipeline, which says and does what there is to say and do. */
  override readonly propagatesEventHandlerErrors = true;
  private readonly planned: PlannedHandler<MessageHandler>[] = [];
  private readonly consumers: BrokerConsumer[] = [];
  private readonly pipelines: DeliveryPipeline[] = [];
  private closing: Promise<void> | undefined;

  constructor(
    @Inject(BROKER_PORT) private readonly broker: BrokerPort,
    @Inject(MESSAGING_OPTIONS) private readonly options: MessagingOptions,
    private readonly checkBacks: CheckBacks,
    @Optional() @Inject(INBOX_STORE) private readonly inbox?: InboxStore,
  ) {
    super();
    this.initializeSerializer({});
    this.initializeDeserializer({});
  }

  /** Called by Nest for every handler and pattern. @throws {MessagingError} when a group has two handlers for one contract. */
  override addHandler(
    pattern: unknown,
    callback: MessageHandler,
    isEventHandler?: boolean,
    extras: { consumer?: ConsumerDeclaration } = {},
  ): void {
    const { consumer } = extras;
    // A plain @EventPattern or @MessagePattern of a hybrid application; it belongs to another transport.
    if (consumer === undefined) return;
    const { group } = consumer.options;
    const contract = consumer.contracts.find((each) => patternOf(group, each) === pattern);
    if (contract === undefined) throw new TypeError(`${String(pattern)} was not made by @Consume`);
    if (this.messageHandlers.has(String(pattern))) {
      // Nest would call both for each delivery, and one verdict cannot answer for two handlers.
      throw invalid(`group ${group} has two handlers for ${contract.name}; give one of them its own group`);
    }
    if (consumer.options.once === 'inbox' && !this.inbox) {
      throw invalid(`group ${group} wants an inbox, but no INBOX_STORE is provided`);
    }
    super.addHandler(pattern, callback, isEventHandler, extras);
    this.planned.push({ contract, consumer, handler: callback });
  }

  /** Calls back when every group is subscribed, or with what went wrong. */
  listen(callback: (error?: unknown) => void): void {
    this.start().then(
      () => callback(),
      (error: unknown) => callback(error),
    );
  }

  private async start(): Promise<void> {
    const plans = planSubscriptions(this.planned);
    await this.checkBacks.register();
    await Promise.all(plans.map((plan) => this.subscribe(plan)));
    this._status$.next('subscribed');
  }

  private async subscribe({ subscription, handlers }: GroupPlan<MessageHandler>): Promise<void> {
    const { logger = silentLogger, observer, isUnavailable, clock = Date } = this.options;
    const pipeline = new DeliveryPipeline({
      group: subscription.group,
      routes: handlers.map((planned) => this.routeTo(planned)),
      leaseMs: subscription.leaseMs ?? DEFAULT_LEASE_MS,
      logger,
      observer,
      isUnavailable,
      now: () => clock.now(),
      random: Math.random,
    });
    this.pipelines.push(pipeline);
    const consumer = await this.broker.subscribe(subscription, pipeline.process);
    this.consumers.push(consumer);
    if (this.closing !== undefined) await consumer.close(0);
  }

  private routeTo({ contract, consumer, handler }: PlannedHandler<MessageHandler>): Route {
    const { group, retry = DEFAULT_RETRY, once } = consumer.options;
    const handle = (input: unknown): Promise<void> =>
      this.call(handler, input, new ConsumeContext([group, contract.name]));
    if (consumer.takes === 'batch') return { takes: 'batch', contract, retry, handle };
    const inbox = once === 'inbox' ? this.inbox : undefined;
    return { takes: 'one', contract, retry, handle, ...(inbox !== undefined && { inbox }) };
  }

  /**
   * Runs a handler with everything Nest has put around it, and waits for its end. (The base class's
   * `handleEvent` starts the handler's stream without waiting, so that an ack after it would also
   * acknowledge what is about to fail.)
   */
  private call(handler: MessageHandler, input: unknown, context: ConsumeContext): Promise<void> {
    return new Promise((resolve) => {
      this.runWithProcessingHooks(context, async (processingEnded) => {
        const handling = handled(handler, input, context);
        resolve(handling);
        await handling.then(processingEnded, processingEnded);
      });
    });
  }

  /** The groups that do not get on with their work, and why. */
  troubles(): ConsumerTrouble[] {
    return this.pipelines.flatMap((pipeline) => pipeline.trouble() ?? []);
  }

  /** Takes no new messages and waits for those in flight. Repeating it is harmless. */
  close(): Promise<void> {
    this.closing ??= this.drain();
    return this.closing;
  }

  private async drain(): Promise<void> {
    const drainMs = this.options.drainMs ?? DEFAULT_DRAIN_MS;
    // Not waited for: what these need is away, perhaps for long.
    for (const pipeline of this.pipelines) pipeline.stop();
    const results = await Promise.allSettled(this.consumers.map((consumer) => consumer.close(drainMs)));
    this._status$.next('closed');
    const failed = results.filter((result) => result.status === 'rejected');
    if (failed.length > 0) {
      // The broker notices a consumer that went without a word; its messages are delivered again.
      const error = new AggregateError(failed.map(({ reason }) => reason as unknown));
      (this.options.logger ?? silentLogger).warn(
        { err: error },
        'a consumer could not leave its group in order',
      );
    }
  }

  /** Nest's hook for events of the transport's client; this transport has `status` and the observer instead. */
  on(): never {
    throw new TypeError('MessagingServer emits no events; use `status`, or a PipelineObserver');
  }

  unwrap<T = BrokerPort>(): T {
    return this.broker as T;
  }
}

/** With an interceptor around it, a handler answers with an observable. */
async function handled(handler: MessageHandler, input: unknown, context: ConsumeContext): Promise<void> {
  const result: unknown = await handler(input, context);
  if (isObservable(result)) await lastValueFrom(result, { defaultValue: undefined });
}

function invalid(detail: string): MessagingError {
  return new MessagingError('INVALID_ARGUMENT', detail);
}
