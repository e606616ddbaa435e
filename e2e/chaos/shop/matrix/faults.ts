import { setTimeout as wait } from 'node:timers/promises';
import { isCommitted, type Interception, type Outcome } from '#libs/service-kit/testing';
import type { Striking } from '../strike.js';
import type { Step } from './steps.js';

/** What happens at a step. */
export const FAULTS = {
  'killed before': 'its writer is killed, the request has not arrived',
  'killed after': 'its writer is killed, the request is done and not yet answered',
  'answer lost': 'it is done, the connection breaks before the answer',
  'answer late': 'it is done, the answer comes when nobody waits for it any more',
  reset: 'the connection breaks, the request has not arrived',
  frozen: 'whoever is asked stands still with the request',
} as const;
export type Fault = keyof typeof FAULTS;
export const FAULT_NAMES = Object.keys(FAULTS) as Fault[];

/** Longer than anybody waits for one answer. */
export const LATE_MS = 8_000;

/** When the proxy stops the connection, and what it does then. */
export function interceptionOf({ writer, peer, link }: Step, fault: Fault, striking: Striking): Interception {
  const when = fault === 'killed after' || fault.startsWith('answer') ? 'after' : 'before';
  const isComplete = peer === 'postgres' ? isDone : () => true;
  return { when, isComplete, act };

  async function act(): Promise<Outcome> {
    switch (fault) {
      case 'killed before':
      case 'killed after':
        striking.soon({ atMs: 0, victim: `process:${writer}`, how: 'kill', process: writer, forMs: 0 });
        return 'reset';
      case 'answer lost':
      case 'reset':
        return 'reset';
      case 'answer late':
        await wait(LATE_MS);
        return 'forward';
      case 'frozen':
        striking.soon(
          peer === 'mail'
            ? { atMs: 0, victim: `link:${link}`, how: 'stall', link, forMs: LATE_MS }
            : { atMs: 0, victim: `process:${peer}`, how: 'freeze', process: peer, forMs: LATE_MS },
        );
        return 'forward';
    }
  }
}

/** Within a transaction of several statements each is answered for itself. */
const isDone = (answer: Buffer): boolean =>
  isCommitted(answer) || answer.includes(Buffer.from([0x5a, 0, 0, 0, 5, 0x54]));
