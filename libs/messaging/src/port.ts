/**
 * `#libs/messaging/port`: what a broker and those who talk to it agree on, and nothing that needs a framework. A broker's
 * process and tools import this rather than the whole library: without Nest they start in a third of the time.
 */
export * from './message.js';
export * from './broker-port.js';
export * from './broker-admin.js';
export * from './errors.js';
export * from './check-message.js';
export * from './trace-context.js';
