import { Catch, UseFilters, type RpcExceptionFilter } from '@nestjs/common';
import { EventPattern } from '@nestjs/microservices';
import { throwError, type Observable } from 'rxjs';
import type { CheckBack as PortCheckBack, Subscription, TransactionDecision } from './broker-port.js';
import type { AnyContract, MessageContract, PayloadOf } from './contract.js';
import type { Delivery } from './delivery.js';
import type { RetryPolicy } from './retry.js';

/** What a handler may say about its group's subscription; `Subscription` explains each and has the defaults. */
export type GroupOptions = Pick<
  Subscription,
  | 'mode'
  | 'order'
  | 'whenFailing'
  | 'automaticRedrive'
  | 'startAt'
  | 'priorities'
  | 'maxInFlightMessages'
  | 'maxInFlightBytes'
  | 'leaseMs'
  | 'guarantee'
>;

type HandlerOptions = GroupOptions & {
  /** Who, and what for: `stock.confirm`. Handlers of one group in one service share a subscription. */
  group: string;
  /** Default: ten deliveries over about a hundred seconds (`DEFAULT_RETRY`). */
  retry?: RetryPolicy;
};

export type ConsumeOptions = HandlerOptions & {
  /** Handle each message once: its inbox row commits together with what the handler writes through `delivery.tx`. */
  once?: 'inbox';
};

export type ConsumeBatchOptions = HandlerOptions & { maxBatchMessages: number };

/** What the decorators leave at a method, and `MessagingServer` reads. */
export type ConsumerDeclaration = {
  takes: 'one' | 'batch';
  contracts: readonly AnyContract[];
  options: HandlerOptions & { once?: 'inbox'; maxBatchMessages?: number };
};

/** Marks handlers as ours, so that other transports of a hybrid application leave them alone. */
export const MESSAGING_TRANSPORT = Symbol('stampede.messaging');

/** Nest finds a handler by this pattern; unique per group and contract. */
export const patternOf = (group: string, contract: Pick<AnyContract, 'name'>): string =>
  `${group}/${contract.name}`;

type Method<Input> = <M extends (input: Input) => Promise<void>>(
  target: object,
  propertyKey: string | symbol,
  descriptor: TypedPropertyDescriptor<M>,
) => void;

/**
 * Makes a controller's method the handler of one contract, or several, in a group:
 *
 *     @Consume(OrderPaid, { group: 'stock.confirm', once: 'inbox' })
 *     async handle({ payload }: Delivery<OrderPaid>): Promise<void> { … }
 *
 * The message is acknowledged when the returned promise resolves; when it rejects, the error's kind
 * decides (see `failure.ts`). Guards, pipes, interceptors and filters of class and method apply.
 */
export function Consume<Contract extends AnyContract>(
  contracts: Contract | readonly Contract[],
  options: ConsumeOptions,
): Method<Delivery<PayloadOf<Contract>, never>> {
  const list = (Array.isArray(contracts) ? contracts : [contracts]) as readonly Contract[];
  return declare({ takes: 'one', contracts: list, options });
}

/**
 * Makes a controller's method handle many messages in one call. All are acknowledged when it resolves.
 * When it throws, it is called again with halves of the batch, down to single messages, so that only
 * those that fail alone are retried or dead-lettered: it must bear to see a message twice.
 */
export function ConsumeBatch<Payload>(
  contract: MessageContract<Payload>,
  options: ConsumeBatchOptions,
): Method<readonly Delivery<Payload, never>[]> {
  return declare({ takes: 'batch', contracts: [contract], options });
}

function declare(consumer: ConsumerDeclaration): MethodDecorator {
  const patterns = consumer.contracts.map((contract) => patternOf(consumer.options.group, contract));
  return (target, propertyKey, descriptor) => {
    if (declared.has(descriptor.value as object)) {
      throw new TypeError(
        `${String(propertyKey)} has two @Consume; give the second group a method of its own`,
      );
    }
    declared.add(descriptor.value as object);
    EventPattern(patterns, MESSAGING_TRANSPORT, { consumer })(target, propertyKey, descriptor);
    keepErrors(target.constructor);
  };
}

const declared = new WeakSet<object>();

/**
 * Hands errors to the pipeline as they are. Nest's last filter would replace everything but an
 * `RpcException` by "Internal server error", and with it the kind that decides between retry and dead letter.
 */
@Catch()
class KeepErrors implements RpcExceptionFilter {
  catch(error: unknown): Observable<never> {
    return throwError(() => error);
  }
}

const keepErrorsFilter = new KeepErrors();
const keeping = new WeakSet<object>();

/**
 * Puts the filter before the class's own ones, so that those are asked first: Nest asks from the last to
 * the first, method, class, global. Global filters are therefore not asked for consumers.
 */
function keepErrors(controller: object): void {
  if (keeping.has(controller)) return;
  keeping.add(controller);
  UseFilters(keepErrorsFilter)(controller as never);
}

/** A half message as a check-back gets it. */
export type CheckedMessage = {
  /** `topic.tag`. */
  contract: string;
  /** Parsed JSON; undefined when the body is none. */
  payload: unknown;
};

/** Metadata key of `@CheckBack`: the producer group. */
export const CHECK_BACK = 'stampede:check-back';

export type CheckBackMethod = (
  transactionId: string,
  messages: readonly CheckedMessage[],
) => Promise<TransactionDecision>;

/** The port's type of the same name; declared here as well, since a module has one `CheckBack` only. */
export type CheckBack = PortCheckBack;

/**
 * Makes a method of any provider or controller answer for transactions of a producer group whose
 * decision never came. It asks the database: the local write is there → `commit`; it is not, and can no
 * longer come → `rollback`; otherwise `unknown`, and the broker asks again later.
 */
export function CheckBack(producerGroup: string) {
  return <M extends CheckBackMethod>(
    _target: object,
    _propertyKey: string | symbol,
    descriptor: TypedPropertyDescriptor<M>,
  ): void => {
    Reflect.defineMetadata(CHECK_BACK, producerGroup, descriptor.value as object);
  };
}
