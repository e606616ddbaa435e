import { z } from 'zod';
import { defineEvent } from '#libs/messaging';

/** What the writer writes: numbers of a key, each with a row of its own. */
export const EventWritten = defineEvent({
  topic: 'payment',
  tag: 'event-written',
  version: 1,
  key: ({ key }) => key,
  payload: z.object({ key: z.string(), n: z.number().int() }),
});
export type EventWritten = z.output<(typeof EventWritten)['payload']>;

export const KEYS = ['a', 'b', 'c'] as const;
export const rowOf = (key: string, n: number): string => `${key} ${n}`;
