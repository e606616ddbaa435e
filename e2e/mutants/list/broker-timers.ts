import { type Mutant, slipsIn } from '../mutant.js';

const BROKER = 'libs/broker/src';
const STORE = `${BROKER}/timers/timer-store.spec.ts`;
const FAR = `${BROKER}/timers/far-timers.spec.ts`;
const BEYOND = `${BROKER}/timers/far-timers.int.spec.ts`;
const CELLS = `${BROKER}/timers/hash-cells.spec.ts`;
const TIMERS = `${BROKER}/timers/timers.int.spec.ts`;
const FIRING = `${BROKER}/timers/due-timers.int.spec.ts`;
const CARRYING = `${BROKER}/engine/carry-forward.int.spec.ts`;

/** A delayed message comes once and at its time, however far away that is. */
export const BROKER_TIMERS: readonly Mutant[] = [
  ...slipsIn(
    `${BROKER}/timers/far-timers.ts`,
    'broker-far-timers',
    [FAR, BEYOND],
    [
      [
        'what-is-due-in-the-last-near-period-is-far',
        'if (period <= this.nearPeriod) return false;',
        'if (period < this.nearPeriod) return false;',
      ],
      [
        'a-period-is-ready-before-it-was-read',
        'this.nearPeriod = Math.max(this.nearPeriod, reach);',
        'this.nearPeriod = Math.max(this.nearPeriod, reach);\n    this.readyPeriod = this.nearPeriod;',
      ],
      ['what-could-not-be-read-is-forgotten', 'codes.set(unread.codes);\n', ''],
      ['only-the-lowest-of-a-period-come', 'if (pass.count === 0) this.end(pass);', 'this.end(pass);'],
    ],
  ),
  ...slipsIn(
    `${BROKER}/timers/timer-store.ts`,
    'broker-far-timers',
    [STORE, BEYOND],
    [
      [
        'what-was-taken-back-while-it-was-read-comes',
        'if (this.far.remove(hash, position)) this.put(hash, position, dueAtMs);',
        'this.far.remove(hash, position);\n    this.put(hash, position, dueAtMs);',
        { specs: [FIRING, BEYOND] },
      ],
      [
        'handles-beyond-the-horizon-are-not-found',
        'return this.far.candidates(hash, found);',
        'return found;',
      ],
      [
        'what-is-beyond-the-horizon-is-not-carried',
        'yield* this.far.before(position);\n',
        '',
        { specs: [STORE, CARRYING] },
      ],
      [
        'what-is-beyond-the-horizon-keeps-no-segment',
        'return this.size === 0 ? Infinity : this.lowestStretch',
        'return this.live === 0 ? Infinity : this.lowestStretch',
      ],
    ],
  ),
  ...slipsIn(
    `${BROKER}/timers/hash-cells.ts`,
    'broker-far-timers',
    [CELLS],
    [
      ['the-head-moves-without-its-code', 'page.rest[at] = from.rest[head & (PAGE - 1)]!;\n', ''],
      ['a-position-loses-its-upper-bits', '(rest[at]! & 3) * WORD', '(rest[at]! & 1) * WORD'],
    ],
  ),
  ...slipsIn(
    `${BROKER}/timers/timers.ts`,
    'broker-far-timers',
    [BEYOND],
    [
      [
        'a-record-that-cannot-be-read-is-passed-over',
        'if (!block) timers.cannotBeRead(host.now());',
        'if (!block) continue;',
      ],
    ],
  ),
  ...slipsIn(
    `${BROKER}/timers/handles.ts`,
    'broker-far-timers',
    [TIMERS],
    [['a-timer-is-found-by-its-key', 'ends < 3', 'ends < 2']],
  ),
];
