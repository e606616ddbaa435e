export { connectBroker } from './client/connect-broker.js';
export type { ConnectOptions } from './client/connect-broker.js';
export { portOver } from './client/port.js';
export type { PortOptions } from './client/port.js';
export { BrokerServer } from './server/broker-server.js';
export type { ServerOptions, SessionSource } from './server/broker-server.js';
export type * from './session.js';
export { EmbeddedBroker } from './engine/embedded-broker.js';
export type { BrokerClock, BrokerOptions } from './engine/options.js';
