import { diceOf, moments, type Dice } from '../dice.js';
import { DISK_OWNERS, type DiskOwner } from './disks.js';
import { LINKS, PROCESSES, type LinkName, type ProcessName, type Service } from './links.js';

/**
 * | how            | what happens                                                                                      |
 * | -------------- | ------------------------------------------------------------------------------------------------- |
 * | `kill`         | SIGKILL to a process and its children; the launcher starts it again                                |
 * | `freeze`       | SIGSTOP for `forMs`                                                                                |
 * | `reset`        | every connection of a link is reset; new ones are taken at once                                    |
 * | `stall`        | a link carries nothing for `forMs`; nothing is lost                                                |
 * | `refuse`       | a link is down for `forMs`: reset, and every new connection too                                    |
 * | `strand`       | half-open: what stands carries nothing any more, neither side is told; new connections work       |
 * | `lose-answers` | for `forMs` requests arrive and are done, and no answer comes back; then the connections are reset |
 * | `fill`         | a store's disk is full for `forMs`                                                                 |
 * | `step`         | a service's wall clock is off by `stepMs` for `forMs`                                              |
 */
export type ShopStrike = { atMs: number; victim: string; forMs: number } & (
  | { how: 'kill' | 'freeze'; process: ProcessName }
  | { how: 'reset' | 'stall' | 'refuse' | 'strand' | 'lose-answers'; link: LinkName }
  | { how: 'fill'; disk: DiskOwner }
  | { how: 'step'; service: Service | 'broker'; stepMs: number }
);
export type How = ShopStrike['how'];
type Target = { victim: string } & (
  | { how: 'kill' | 'freeze'; process: ProcessName }
  | { how: 'reset' | 'stall' | 'refuse' | 'strand' | 'lose-answers'; link: LinkName }
  | { how: 'fill'; disk: DiskOwner }
  | { how: 'step'; service: Service | 'broker' }
);

/** How long each lasts: from what nobody notices to past the timeouts of whoever waits. */
const FOR_MS: Readonly<Record<How, readonly [number, number]>> = {
  kill: [0, 0],
  freeze: [500, 12_000],
  reset: [0, 0],
  stall: [300, 12_000],
  refuse: [300, 8_000],
  strand: [0, 0],
  'lose-answers': [200, 4_000],
  fill: [2_000, 8_000],
  step: [5_000, 20_000],
};
/** More than a hold lasts in this run; less than the minute for which a service may ask another with one token. */
const STEP_MS = [1_000, 55_000] as const;
const CLOCKS = ['gateway', 'order', 'stock', 'payment', 'notification', 'ops', 'broker'] as const;

const targetsOf: Readonly<Record<How, () => Target[]>> = {
  kill: () => processes('kill'),
  freeze: () => processes('freeze'),
  reset: () => links('reset'),
  stall: () => links('stall'),
  refuse: () => links('refuse'),
  strand: () => links('strand'),
  'lose-answers': () => links('lose-answers'),
  fill: () => DISK_OWNERS.map((disk) => ({ victim: `disk:${disk}`, how: 'fill', disk })),
  step: () => CLOCKS.map((service) => ({ victim: `clock:${service}`, how: 'step', service })),
};
const processes = (how: 'kill' | 'freeze'): Target[] =>
  PROCESSES.map((process) => ({ victim: `process:${process}`, how, process }));
const links = (how: 'reset' | 'stall' | 'refuse' | 'strand' | 'lose-answers'): Target[] =>
  LINKS.map(({ name }) => ({ victim: `link:${name}`, how, link: name }));

export const HOWS = Object.keys(targetsOf) as How[];

export type NemesisOptions = {
  seed: number;
  durationMs: number;
  /** On average, between two strikes. */
  meanGapMs: number;
  /** What is not to happen, because it cannot here or is not asked for. */
  without: readonly How[];
};

const FIRST_AT_MS = 2_000;
const MIN_GAP_MS = 200;

/**
 * Who is struck when and how: the same for the same seed. Dealt like cards: every way to strike meets every
 * process, link, disk and clock before any does again, and the first cards are one of each way, so that a short
 * run is not spared.
 */
export function planShopStrikes({ seed, durationMs, meanGapMs, without }: NemesisOptions): ShopStrike[] {
  const dice = diceOf(seed);
  const hows = HOWS.filter((how) => !without.includes(how));
  const deck: Target[] = shuffled(dice, hows).map((how) => dice.oneOf(targetsOf[how]()));
  const strikes: ShopStrike[] = [];
  const gaps = { fromMs: FIRST_AT_MS - MIN_GAP_MS, untilMs: durationMs, minGapMs: MIN_GAP_MS, meanGapMs };
  for (const atMs of moments(dice, gaps)) {
    if (deck.length === 0)
      deck.push(
        ...shuffled(
          dice,
          hows.flatMap((how) => targetsOf[how]()),
        ),
      );
    const target = deck.shift();
    if (target !== undefined) strikes.push(strikeOf(dice, atMs, target));
  }
  return strikes;
}

function strikeOf(dice: Dice, atMs: number, target: Target): ShopStrike {
  const forMs = dice.between(FOR_MS[target.how]);
  if (target.how !== 'step') return { atMs, forMs, ...target };
  const stepMs = dice.between(STEP_MS) * (dice.random() < 0.5 ? -1 : 1);
  return { atMs, forMs, ...target, stepMs };
}

function shuffled<Card>({ random }: Dice, cards: readonly Card[]): Card[] {
  return cards
    .map((card) => ({ card, place: random() }))
    .sort((one, other) => one.place - other.place)
    .map(({ card }) => card);
}
