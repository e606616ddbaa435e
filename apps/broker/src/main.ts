import { bootBroker } from './boot-broker.js';

await bootBroker();
