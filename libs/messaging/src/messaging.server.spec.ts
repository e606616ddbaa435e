import {
  Catch,
  Controller,
  Injectable,
  UseFilters,
  UseGuards,
  UseInterceptors,
  UsePipes,
  type CanActivate,
  type ExecutionContext,
  type INestMicroservice,
  type NestInterceptor,
  type PipeTransform,
  type RpcExceptionFilter,
  type Type,
} from '@nestjs/common';
import { RpcException } from '@nestjs/microservices';
import { Test } from '@nestjs/testing';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { EMPTY, tap } from 'rxjs';
import { z } from 'zod';
import { MessageBus } from './bus.js';
import { CheckBack, Consume, ConsumeBatch, type CheckedMessage } from './consume.decorator.js';
import { defineEvent } from './contract.js';
import { isOf, type Delivery } from './delivery.js';
import { DomainError } from './errors.js';
import { INBOX_STORE } from './inbox.js';
import { MessagingModule } from './messaging.module.js';
import { ConsumeContext, MessagingServer } from './messaging.server.js';
import type { DeliveryEnd } from './observer.js';
import { fixedInterval } from './retry.js';
import type { TransactionDecision } from './broker-port.js';
import { FakeBroker } from './testing/fake-broker.js';
import { MemoryInbox } from './testing/memory-inbox.js';
import { parseTraceparent } from './trace-context.js';

const payload = z.object({ n: z.number() });
const declare = (tag: string) =>
  defineEvent({ topic: 'shop', tag, version: 1, key: ({ n }) => String(n), payload });
const [Asked, Answered, Listed] = [declare('asked'), declare('answered'), declare('listed')];
type Numbered = { n: number };

const retry = fixedInterval({ attempts: 2, everyMs: 5 });

/** What happened, in order, across the specs' handlers and enhancers. */
const steps: string[] = [];
let broker: FakeBroker;
let ends: DeliveryEnd[];
let app: INestMicroservice | undefined;

beforeEach(() => {
  steps.splice(0);
  broker = new FakeBroker();
  ends = [];
});
afterEach(async () => {
  await app?.close();
  app = undefined;
});

async function start(controllers: Type[], providers: Type[] = [], inbox?: MemoryInbox): Promise<MessageBus> {
  const observer = { deliveryEnded: (end: DeliveryEnd) => ends.push(end) };
  const module = await Test.createTestingModule({
    imports: [
      MessagingModule.forRoot({ broker, producer: 'spec', validate: false, observer }),
      inboxModule(inbox),
    ],
    controllers,
    providers,
  }).compile();
  app = module.createNestMicroservice({ strategy: module.get(MessagingServer), logger: false });
  await app.listen();
  return module.get(MessageBus);
}

function inboxModule(inbox: MemoryInbox | undefined) {
  class InboxModule {}
  const provider = { provide: INBOX_STORE, useValue: inbox };
  return { module: InboxModule, global: true, providers: [provider], exports: [INBOX_STORE] };
}

@Injectable()
class OddOnly implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    const rpc = context.switchToRpc();
    const { payload } = rpc.getData<Delivery<Numbered>>();
    steps.push(
      `guard ${rpc.getContext<ConsumeContext>().getGroup()} ${rpc.getContext<ConsumeContext>().getContract()}`,
    );
    if (payload.n < 0) throw new DomainError('NEGATIVE', 'invalid', 'negative');
    return payload.n % 2 === 1;
  }
}

@Injectable()
class TenTimes implements PipeTransform<Delivery<Numbered>> {
  transform(delivery: Delivery<Numbered>): Delivery<Numbered> {
    return { ...delivery, payload: { n: delivery.payload.n * 10 } };
  }
}

const around: NestInterceptor = {
  intercept: (_, next) => {
    steps.push('before');
    return next.handle().pipe(tap({ complete: () => steps.push('after') }));
  },
};

@Catch(RangeError)
class RangeIsFine implements RpcExceptionFilter<RangeError> {
  catch(error: RangeError) {
    steps.push(`filter ${error.message}`);
    return EMPTY;
  }
}

@Controller()
@UseGuards(OddOnly)
@UseInterceptors(around)
@UseFilters(RangeIsFine)
class GuardedConsumer {
  @Consume(Asked, { group: 'guarded', retry })
  @UsePipes(TenTimes)
  async handle({ payload }: Delivery<Numbered>): Promise<void> {
    await Promise.resolve();
    steps.push(`handle ${payload.n}`);
    if (payload.n === 70) throw new RangeError('seventy');
    if (payload.n === 90) throw new DomainError('NINETY', 'invalid', 'ninety');
    if (payload.n === 110) throw new RpcException('eleven');
  }
}

describe('what Nest puts around a handler', () => {
  it('guard, interceptor and pipe apply, and the ack comes after all of them', async () => {
    const bus = await start([GuardedConsumer]);
    await bus.send(Asked, { n: 1 }, { id: 'm' });
    await broker.settled();
    expect(steps).toEqual(['guard guarded shop.asked', 'before', 'handle 10', 'after']);
    expect(broker.verdicts).toEqual(['ack m']);
  });

  it('a guard that says no keeps the message from its handler, and it ends as a dead letter', async () => {
    const bus = await start([GuardedConsumer]);
    await bus.send(Asked, { n: 2 });
    await broker.settled();
    expect(steps.filter((step) => step.startsWith('handle'))).toEqual([]);
    expect(broker.deadLettered).toMatchObject([
      { reason: 'retries-exhausted', error: 'RpcException: Forbidden resource' },
    ]);
  });

  it('a filter may turn an error into success', async () => {
    const bus = await start([GuardedConsumer]);
    await bus.send(Asked, { n: 7 }, { id: 'm' });
    await broker.settled();
    expect(steps).toContain('filter seventy');
    expect(broker.verdicts).toEqual(['ack m']);
  });

  it('an error that no filter takes keeps its kind, wherever it was thrown', async () => {
    const bus = await start([GuardedConsumer]);
    await bus.send(Asked, { n: 9 });
    await bus.send(Asked, { n: -1 });
    await broker.settled();
    expect(broker.deadLettered.map(({ reason, error }) => [reason, error])).toEqual([
      ['rejected', 'DomainError: NEGATIVE: negative'],
      ['rejected', 'DomainError: NINETY: ninety'],
    ]);
  });

  it('an RpcException is a failure like any unknown one', async () => {
    const bus = await start([GuardedConsumer]);
    await bus.send(Asked, { n: 11 });
    await broker.settled();
    expect(broker.deadLettered).toMatchObject([
      { reason: 'retries-exhausted', error: 'RpcException: eleven', history: [{ attempt: 1 }] },
    ]);
  });
});

@Controller()
class AskedConsumer {
  constructor(private readonly bus: MessageBus) {}

  @Consume(Asked, { group: 'shop.answer' })
  async handle({ payload }: Delivery<Numbered>): Promise<void> {
    await this.bus.send(Answered, payload);
  }
}

@Controller()
class AnsweredConsumer {
  @Consume([Answered, Listed], { group: 'shop.answer' })
  async handle(delivery: Delivery<Numbered>): Promise<void> {
    steps.push(isOf(Answered, delivery) ? 'answered' : 'listed');
    return Promise.resolve();
  }
}

describe('the handlers of a service', () => {
  it('of one group are one subscription, which finds the right one by topic and tag', async () => {
    const bus = await start([AskedConsumer, AnsweredConsumer]);
    expect(broker.subscriptions).toMatchObject([
      { group: 'shop.answer', topics: [{ topic: 'shop', tags: ['asked', 'answered', 'listed'] }] },
    ]);
    await bus.send(Asked, { n: 1 });
    await bus.send(Listed, { n: 1 });
    await broker.settled();
    expect([...steps].sort()).toEqual(['answered', 'listed']);
  });

  it('continue the trace of the message in what they send', async () => {
    const bus = await start([AskedConsumer]);
    await bus.send(Asked, { n: 1 });
    await broker.settled();
    const [asked, answered] = broker.sent.map(({ headers }) => parseTraceparent(headers?.['traceparent']));
    expect(answered?.traceId).toBe(asked?.traceId);
    expect(answered?.spanId).not.toBe(asked?.spanId);
  });

  it('may not be two for the same group and contract', async () => {
    await expect(start([AskedConsumer, DoublyAskedConsumer])).rejects.toThrow(
      'group shop.answer has two handlers for shop.asked',
    );
  });

  it('leave the tags that nobody takes alone', async () => {
    const bus = await start([AskedConsumer]);
    await bus.send(Listed, { n: 1 });
    await broker.settled();
    expect(broker.verdicts).toEqual([]);
    expect(ends).toEqual([]);
  });

  it('are drained, and leave their groups, when the service stops', async () => {
    const bus = await start([SlowConsumer]);
    await bus.send(Asked, { n: 1 });
    await app?.close();
    expect(steps).toEqual(['slow done']);
    expect(broker.closed).toEqual(['shop.slow']);
  });
});

@Controller()
class DoublyAskedConsumer {
  @Consume(Asked, { group: 'shop.answer' })
  async handle(_delivery: Delivery<Numbered>): Promise<void> {
    return Promise.resolve();
  }
}

@Controller()
class SlowConsumer {
  @Consume(Asked, { group: 'shop.slow' })
  async handle(_delivery: Delivery<Numbered>): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, 20));
    steps.push('slow done');
  }
}

@Controller()
class InboxConsumer {
  @Consume(Asked, { group: 'shop.once', once: 'inbox' })
  async handle({ tx }: Delivery<Numbered, { group: string }>): Promise<void> {
    steps.push(`in the transaction of ${tx.group}`);
    return Promise.resolve();
  }
}

describe("once: 'inbox'", () => {
  it('acknowledges a duplicate unhandled', async () => {
    const bus = await start([InboxConsumer], [], new MemoryInbox());
    await bus.send(Asked, { n: 1 }, { id: 'm' });
    await broker.settled();
    broker.redeliver(0);
    await broker.settled();
    expect(steps).toEqual(['in the transaction of shop.once']);
    expect(broker.verdicts).toEqual(['ack m', 'ack m']);
  });

  it('stops the start of a service that has no inbox', async () => {
    await expect(start([InboxConsumer])).rejects.toThrow('group shop.once wants an inbox');
  });
});

@Controller()
class BatchConsumer {
  @ConsumeBatch(Asked, { group: 'shop.batch', maxBatchMessages: 8, retry })
  async handle(deliveries: readonly Delivery<Numbered>[]): Promise<void> {
    steps.push(deliveries.map(({ payload }) => payload.n).join(''));
    if (deliveries.some(({ payload }) => payload.n === 3)) throw new DomainError('THREE', 'invalid', 'three');
    return Promise.resolve();
  }
}

describe('a batch handler', () => {
  it('gets batches, and only the poison message of one is dead-lettered', async () => {
    const bus = await start([BatchConsumer]);
    await bus.sendBatch([0, 1, 2, 3].map((n) => ({ contract: Asked, payload: { n }, options: {} })));
    await broker.settled();
    expect(steps).toEqual(['0123', '01', '23', '2', '3']);
    expect(broker.deadLettered.map(({ message }) => message.key)).toEqual(['3']);
  });
});

@Injectable()
class ShopCheckBack {
  @CheckBack('shop')
  async check(transactionId: string, messages: readonly CheckedMessage[]): Promise<TransactionDecision> {
    steps.push(`${transactionId} ${JSON.stringify(messages)}`);
    return Promise.resolve('commit');
  }
}

@Injectable()
class SecondCheckBack {
  @CheckBack('shop')
  async check(): Promise<TransactionDecision> {
    return Promise.resolve('rollback');
  }
}

describe('a check-back', () => {
  it('reaches its method with all messages of the transaction, and the answer the broker', async () => {
    await start([], [ShopCheckBack]);
    const messages = [1, 2].map((n) => ({ topic: 'shop', tag: 'asked', body: Buffer.from(`{"n":${n}}`) }));
    expect(await broker.checkBack('shop', 'tx1', messages)).toBe('commit');
    expect(steps).toEqual([
      'tx1 [{"contract":"shop.asked","payload":{"n":1}},{"contract":"shop.asked","payload":{"n":2}}]',
    ]);
  });

  it('has one method per producer group', async () => {
    await expect(start([], [ShopCheckBack, SecondCheckBack])).rejects.toThrow('shop has two @CheckBack');
  });
});
