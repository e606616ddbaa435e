import { describe, expect, it } from '@jest/globals';
import { HOWS, planShopStrikes } from './nemesis.js';
import { LINKS, PROCESSES } from './links.js';

const options = { seed: 7, durationMs: 600_000, meanGapMs: 2_500, without: [] };

describe('the strikes against a shop', () => {
  it('are the same for the same seed, and others for another', () => {
    expect(planShopStrikes(options)).toEqual(planShopStrikes(options));
    expect(planShopStrikes(options)).not.toEqual(planShopStrikes({ ...options, seed: 8 }));
  });

  it('begin with one of each way, so that the shortest run is not spared', () => {
    const first = planShopStrikes(options).slice(0, HOWS.length);
    expect(new Set(first.map(({ how }) => how))).toEqual(new Set(HOWS));
  });

  it('meet every process, link, disk and clock in every way within ten minutes', () => {
    const strikes = planShopStrikes(options);
    const met = new Set(strikes.map(({ how, victim }) => `${how} ${victim}`));
    const ways = LINKS.length * 5 + PROCESSES.length * 2 + 3 + 7;
    expect(met.size).toBe(ways);
    const times = strikes.map(({ atMs }) => atMs);
    expect(times).toEqual([...times].sort((left, right) => left - right));
    expect(times.at(-1)).toBeLessThan(options.durationMs);
  });

  it('leave out what is not asked for', () => {
    const strikes = planShopStrikes({ ...options, without: ['fill', 'step'] });
    expect(strikes.map(({ how }) => how)).not.toContain('fill');
    expect(strikes.map(({ how }) => how)).not.toContain('step');
  });
});
