export * from './port.js';
export * from './contract.js';
export * from './envelope.js';
export * from './bus.js';
export * from './local-write.js';
export * from './retry.js';
export * from './inbox.js';
export * from './delivery.js';
export * from './outbox.js';
export * from './outbox-relay.js';
export * from './failure.js';
export * from './observer.js';
export * from './delivery-pipeline.js';
export * from './messaging.options.js';
export * from './messaging.module.js';
export { MessagingServer, ConsumeContext } from './messaging.server.js';
export {
  Consume,
  ConsumeBatch,
  CheckBack,
  type CheckBackMethod,
  type CheckedMessage,
  type ConsumeBatchOptions,
  type ConsumeOptions,
  type GroupOptions,
} from './consume.decorator.js';
