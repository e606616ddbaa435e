import { diceOf } from '../dice.js';
import { LINKS, type LinkName } from './links.js';
import { planShopStrikes, type ShopStrike } from './nemesis.js';

/** What is done to the shop while it sells. */
export type Scenario = {
  name: string;
  durationMs: number;
  /** Buyers a second. */
  rate: number;
  strikes: readonly ShopStrike[];
  /** Buyers who do nothing but look at orders, as fast as they are answered, from when to when. */
  pollers?: { count: number; fromMs: number; untilMs: number };
};
export type ScenarioOptions = {
  minutes: number;
  seed: number;
  /** Buyers a second. */
  rate: number;
  /** Between two strikes, on average. */
  gapSeconds: number;
  canFillDisks: boolean;
};

const SECOND_MS = 1_000;
const MINUTE_MS = 60 * SECOND_MS;

const linksTo = (store: 'postgres' | 'redis'): LinkName[] =>
  LINKS.filter(({ to }) => to === store).map(({ name }) => name);
/** The same for all links at once: what a store's fail-over looks like from the services. */
const all = (
  links: readonly LinkName[],
  how: 'reset' | 'stall' | 'refuse',
  atMs: number,
  forMs: number,
): ShopStrike[] => links.map((link) => ({ atMs, victim: `link:${link}`, how, link, forMs }));

export const SCENARIOS = {
  random: ({ seed, minutes, rate, gapSeconds, canFillDisks }) => ({
    name: 'everything at random',
    durationMs: minutes * MINUTE_MS,
    rate,
    strikes: planShopStrikes({
      seed,
      durationMs: minutes * MINUTE_MS,
      meanGapMs: gapSeconds * SECOND_MS,
      without: canFillDisks ? [] : ['fill'],
    }),
  }),
  'postgres-resets': ({ seed }) => {
    const [orders, rate, resets] = [600, 80, 10];
    const durationMs = (orders / rate) * SECOND_MS;
    const dice = diceOf(seed);
    const moments = Array.from({ length: resets }, () => dice.between([200, durationMs])).sort(
      (a, b) => a - b,
    );
    const strikes = moments.flatMap((atMs) => all(linksTo('postgres'), 'reset', atMs, 0));
    return { name: 'ten resets of all connections to Postgres, 600 orders', durationMs, rate, strikes };
  },
  redis: ({ seed, rate }) => {
    const durationMs = MINUTE_MS;
    const dice = diceOf(seed);
    const strikes = [5, 12, 25, 40, 48].flatMap((second) => {
      const atMs = second * SECOND_MS + dice.between([0, 2_000]);
      const stalls = all(linksTo('redis'), 'stall', atMs + 1_000, dice.between([2_000, 8_000]));
      return [...all(linksTo('redis'), 'reset', atMs, 0), ...stalls];
    });
    return { name: 'resets and stalls of all connections to Redis', durationMs, rate, strikes };
  },
  'frozen-order': ({ rate }) => {
    const [fromMs, forMs] = [15 * SECOND_MS, 30 * SECOND_MS];
    return {
      name: 'a frozen order service and 1,000 pollers',
      durationMs: MINUTE_MS,
      rate,
      strikes: [{ atMs: fromMs, victim: 'process:order', how: 'freeze', process: 'order', forMs }],
      pollers: { count: 1_000, fromMs: fromMs - 2_000, untilMs: fromMs + forMs },
    };
  },
  'postgres-outage': ({ minutes, rate }) => {
    const forMs = minutes * MINUTE_MS;
    return {
      name: `Postgres away for ${minutes} minutes`,
      durationMs: forMs + MINUTE_MS,
      rate,
      strikes: all(linksTo('postgres'), 'refuse', 30 * SECOND_MS, forMs),
    };
  },
} as const satisfies Record<string, (options: ScenarioOptions) => Scenario>;
export type ScenarioName = keyof typeof SCENARIOS;
