import { MessagingError } from '#libs/messaging/port';

/** What this implementation refuses. The first table of README.md has a row for each, `readme.spec.ts` holds that. */
export const UNSUPPORTED_FEATURES = [
  'delay',
  'transactional messages',
  'named producers',
  'priority',
  'maximum length',
  'flush policy',
  'automatic redrive',
  'trace',
  'reset of a running group',
] as const;
export type UnsupportedFeature = (typeof UNSUPPORTED_FEATURES)[number];

export const unsupported = (feature: UnsupportedFeature, detail: string): MessagingError =>
  new MessagingError('UNSUPPORTED', `${feature} on Kafka: ${detail} (libs/kafka/README.md)`);
