export { connectKafkaBroker, type KafkaBrokerOptions } from './connect-kafka-broker.js';
