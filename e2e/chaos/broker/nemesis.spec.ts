import { describe, expect, it } from '@jest/globals';
import { planStrikes } from './nemesis.js';

const options = { seed: 7, durationMs: 600_000, producers: 3, consumers: 3 };

describe('the strikes of a chaos run', () => {
  it('are the same for the same seed, and others for another', () => {
    expect(planStrikes(options)).toEqual(planStrikes(options));
    expect(planStrikes(options)).not.toEqual(planStrikes({ ...options, seed: 8 }));
  });

  it('hit every process and in every way, in order and within the run', () => {
    const strikes = planStrikes(options);
    expect(new Set(strikes.map(({ victim }) => victim)).size).toBe(7);
    expect(new Set(strikes.map(({ how }) => how))).toEqual(new Set(['kill', 'kill-in-recovery', 'pause']));
    const times = strikes.map(({ atMs }) => atMs);
    expect(times).toEqual([...times].sort((left, right) => left - right));
    expect(times.at(-1)).toBeLessThan(options.durationMs);
  });

  it('begin with one of each, so that the shortest run is not spared', () => {
    const roles = planStrikes(options).map(({ victim }) => victim.split('-')[0]);
    expect(roles.slice(0, 3)).toEqual(['broker', 'producer', 'consumer']);
  });
});
