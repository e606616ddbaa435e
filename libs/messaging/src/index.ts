export * from './message.js';
export * from './broker-port.js';
export * from './errors.js';
export * from './contract.js';
