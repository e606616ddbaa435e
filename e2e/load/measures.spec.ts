import { describe, expect, it } from '@jest/globals';
import { LatencyRecorder } from './latency.js';
import { Measures, Stage } from './measures.js';
import { flawOf, type AcceptedOrder } from './orders.js';

const START = Date.parse('2026-01-01T00:00:00.000Z');
const at = (ms: number): string => new Date(START + ms).toISOString();

describe('latencies', () => {
  it('are summed up by percentile', () => {
    const recorder = new LatencyRecorder();
    for (let latencyMs = 1; latencyMs <= 1_000; latencyMs += 1) recorder.record(latencyMs);
    const { p50, p95, p99, p999, max } = recorder.summary();
    for (const [value, expected] of [
      [p50, 500],
      [p95, 950],
      [p99, 990],
      [p999, 999],
      [max, 1_000],
    ] as const) {
      expect(Math.abs(value - expected)).toBeLessThanOrEqual(expected / 500);
    }
  });

  it('lie in order, and none above the greatest, however few there are', () => {
    for (const latencies of [[988.93], [969.04, 12.5], [1_521.91, 1_522.33, 0.4]]) {
      const recorder = new LatencyRecorder();
      for (const latencyMs of latencies) recorder.record(latencyMs);
      const { p50, p95, p99, p999, max } = recorder.summary();
      expect([p50, p95, p99, p999, max]).toEqual(
        [p50, p95, p99, p999, max].sort((one, other) => one - other),
      );
      expect(max).toBe(Math.max(...latencies));
    }
  });

  it('are zero when there are none, and never negative', () => {
    const recorder = new LatencyRecorder();
    expect(recorder.summary()).toEqual({ p50: 0, p95: 0, p99: 0, p999: 0, max: 0 });
    recorder.record(-3);
    expect(recorder.summary().max).toBe(0);
  });
});

describe('the rate of a stage', () => {
  it('counts from the start to the last one through', () => {
    const stage = new Stage();
    for (const atMs of [500, 2_000, 1_000]) stage.passed(atMs);
    expect(stage.perSecond(0)).toBe(1.5);
  });

  it('is zero when nothing came through', () => {
    expect(new Stage().perSecond(0)).toBe(0);
  });
});

describe('the measures of a run', () => {
  it('count every buyer once and latency from when the buyer was due', () => {
    const measures = new Measures(START);
    measures.answered('202', { dueAtMs: START, askedAtMs: START + 30, answeredAtMs: START + 40 });
    measures.answered('SOLD_OUT', { dueAtMs: START, askedAtMs: START + 60, answeredAtMs: START + 80 });
    measures.answered('SOLD_OUT', { dueAtMs: START, askedAtMs: START + 50, answeredAtMs: START + 70 });
    measures.answered('OVERLOADED', { dueAtMs: START, askedAtMs: START + 90, answeredAtMs: START + 99 });
    expect(Object.fromEntries(measures.answers)).toEqual({ '202': 1, SOLD_OUT: 2, OVERLOADED: 1 });
    expect(measures.latencies().acceptLatencyMs.max).toBeCloseTo(40, 0);
    expect(measures.latencies().answerLatencyMs.max).toBeCloseTo(99, 0);
    expect(measures.lastSoldOutAskedAtMs).toBe(START + 60);
    expect(measures.demand).toBe(3);
  });

  it('take what came later from the order’s own history', () => {
    const measures = new Measures(START);
    const history = [
      { status: 'PENDING_PAYMENT', at: at(250) },
      { status: 'PAID', at: at(1_000) },
    ];
    measures.checkedOut(START + 500);
    measures.came(history, START + 50);
    measures.came([], START);
    expect(measures.latencies().pendingPaymentLatencyMs.p50).toBeCloseTo(200, 0);
    expect(measures.rates()).toMatchObject({ persistedPerSecond: 4, paidPerSecond: 2 });
  });
});

describe('an accepted order', () => {
  const order = (status: string | undefined, checkedOut = false): AcceptedOrder => ({
    orderNo: 'o-1',
    buyerId: 'b',
    dueAtMs: 0,
    checkedOut,
    seen: status === undefined ? undefined : { status, history: [] },
  });

  it.each(['PENDING_PAYMENT', 'PAID', 'CANCELLED', 'REFUNDED', 'REJECTED'])('may rest as %s', (status) => {
    expect(flawOf(order(status))).toBeUndefined();
  });

  it.each(['QUEUED', 'REFUNDING', 'LOST'])('may not stay %s', (status) => {
    expect(flawOf(order(status))).toBe(`o-1: still ${status}`);
  });

  it('may not be forgotten', () => {
    expect(flawOf(order(undefined))).toContain('unknown');
  });

  it('may not keep the money without a ticket or a refund', () => {
    expect(flawOf(order('CANCELLED', true))).toContain('checked out, but CANCELLED');
    expect(flawOf(order('PAID', true))).toBeUndefined();
    expect(flawOf(order('REFUNDED', true))).toBeUndefined();
  });
});
