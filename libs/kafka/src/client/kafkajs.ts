/** The only file, with those beside it in this folder, that imports kafkajs. */
import kafkajs, { type KafkaConfig, type KafkaMessage, type logCreator } from 'kafkajs';
import RequestQueue from 'kafkajs/src/network/requestQueue/index.js';
import type { LogRecord, Place } from './kafka-client.js';

// A CommonJS package: its names are on the default import.
export const { CompressionTypes, ConfigResourceTypes, Kafka, Partitioners, logLevel } = kafkajs;

/** What the client says about things its caller cannot see. A pino logger is one. */
export interface ClientLog {
  info(details: object, message: string): void;
  warn(details: object, message: string): void;
}

/**
 * kafkajs asks for timers of a negative length while nothing waits (tulios/kafkajs #1751): Node 24 warns at each. Nothing is to be
 * done then, so nothing is asked for.
 */
const { scheduleCheckPendingRequests } = RequestQueue.prototype;
RequestQueue.prototype.scheduleCheckPendingRequests = function (this: RequestQueue): void {
  if (this.pending.length > 0 || this.throttledUntil > Date.now()) scheduleCheckPendingRequests.call(this);
};

/** Its warnings and errors are our warnings: what it calls an error it tries again. Settings, and so secrets, are not in them. */
export const logTo =
  (log: ClientLog): logCreator =>
  () =>
  ({ log: { message, ...details } }) => {
    const { groupId, broker, error } = details as Record<string, unknown>;
    log.warn({ groupId, broker, error }, `kafkajs: ${message}`);
  };

export type ConnectionConfig = Pick<KafkaConfig, 'ssl' | 'sasl' | 'socketFactory'> & { brokers: string[] };

export function toLogRecord(place: Place, message: KafkaMessage): LogRecord {
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(message.headers ?? {})) {
    // A header that occurs twice has a list.
    const last = Array.isArray(value) ? value.at(-1) : value;
    if (last !== undefined) headers[name] = last.toString();
  }
  return {
    ...place,
    offset: Number(message.offset),
    key: message.key,
    value: message.value,
    headers,
    timestampMs: Number(message.timestamp),
  };
}
