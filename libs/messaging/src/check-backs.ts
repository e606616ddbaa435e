import { Inject, Injectable } from '@nestjs/common';
import { DiscoveryService, MetadataScanner } from '@nestjs/core';
import type { BrokerPort } from './broker-port.js';
import { CHECK_BACK, type CheckBackMethod, type CheckedMessage } from './consume.decorator.js';
import { MessagingError } from './errors.js';
import { Header, type OutgoingMessage } from './message.js';
import { BROKER_PORT } from './messaging.options.js';
import { childTraceparent, traceContext } from './trace-context.js';

/** Finds the `@CheckBack` methods of the application and has the broker ask them. */
@Injectable()
export class CheckBacks {
  constructor(
    @Inject(BROKER_PORT) private readonly broker: BrokerPort,
    private readonly discovery: DiscoveryService,
    private readonly scanner: MetadataScanner,
  ) {}

  /** Called by `MessagingServer.listen`, before it subscribes: what a handler sends must be answered for. */
  async register(): Promise<void> {
    for (const [producerGroup, check] of this.discover()) {
      await this.broker.onCheckBack(producerGroup, (transactionId, messages) => {
        const traceparent = childTraceparent(messages[0]?.headers?.[Header.traceparent]);
        // An error goes to the broker's client: it is logged there, and the broker asks again.
        return traceContext.run(traceparent, () => check(transactionId, messages.map(readable)));
      });
    }
  }

  private discover(): Map<string, CheckBackMethod> {
    const found = new Map<string, CheckBackMethod>();
    for (const wrapper of [...this.discovery.getProviders(), ...this.discovery.getControllers()]) {
      const instance = wrapper.instance as Record<string, unknown> | null | undefined;
      if (instance === null || typeof instance !== 'object') continue;
      for (const name of this.scanner.getAllMethodNames(Object.getPrototypeOf(instance) as object | null)) {
        const method = instance[name];
        const producerGroup = typeof method === 'function' ? checkBackOf(method) : undefined;
        if (producerGroup === undefined) continue;
        if (!wrapper.isDependencyTreeStatic()) {
          throw new MessagingError(
            'INVALID_ARGUMENT',
            `${wrapper.name}.${name}: @CheckBack needs a singleton`,
          );
        }
        const known = found.has(producerGroup);
        if (known) {
          throw new MessagingError('INVALID_ARGUMENT', `producer group ${producerGroup} has two @CheckBack`);
        }
        found.set(producerGroup, (method as CheckBackMethod).bind(instance));
      }
    }
    return found;
  }
}

function checkBackOf(method: object): string | undefined {
  return Reflect.getMetadata(CHECK_BACK, method) as string | undefined;
}

function readable({ topic, tag, body }: OutgoingMessage): CheckedMessage {
  return { contract: `${topic}.${tag}`, payload: jsonOf(body) };
}

function jsonOf(body: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(body).toString('utf8'));
  } catch {
    // Whoever put it into this group did not use the bus; the method finds no payload and says `unknown`.
    return undefined;
  }
}
