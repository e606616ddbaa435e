import { describe, expect, it } from '@jest/globals';
import { childTraceparent, formatTraceparent, parseTraceparent, traceContext } from './trace-context.js';

const TRACE_ID = '4bf92f3577b34da6a3ce929d0e0e4736';
const SPAN_ID = '00f067aa0ba902b7';

describe('traceparent', () => {
  it('is read and written as the W3C example', () => {
    const example = `00-${TRACE_ID}-${SPAN_ID}-01`;
    const parsed = parseTraceparent(example);
    expect(parsed).toEqual({ traceId: TRACE_ID, spanId: SPAN_ID, flags: '01' });
    expect(parsed && formatTraceparent(parsed)).toBe(example);
  });

  it.each([
    ['nothing', undefined],
    ['an empty value', ''],
    ['the forbidden version', `ff-${TRACE_ID}-${SPAN_ID}-01`],
    ['a trace id of zeros', `00-${'0'.repeat(32)}-${SPAN_ID}-01`],
    ['a span id of zeros', `00-${TRACE_ID}-${'0'.repeat(16)}-01`],
    ['upper case', `00-${TRACE_ID.toUpperCase()}-${SPAN_ID}-01`],
    ['a fifth field in version 00', `00-${TRACE_ID}-${SPAN_ID}-01-x`],
    ['a line break', `00-${TRACE_ID}-${SPAN_ID}-01\nx`],
  ])('does not accept %s', (_, value) => {
    expect(parseTraceparent(value)).toBeUndefined();
  });

  it('accepts what a later version appends', () => {
    expect(parseTraceparent(`01-${TRACE_ID}-${SPAN_ID}-00-more`)?.flags).toBe('00');
  });

  it('continues a trace with a new span, and starts one where there is none', () => {
    const child = parseTraceparent(childTraceparent(`00-${TRACE_ID}-${SPAN_ID}-00`));
    expect(child?.traceId).toBe(TRACE_ID);
    expect(child?.spanId).not.toBe(SPAN_ID);
    expect(child?.flags).toBe('00');
    expect(parseTraceparent(childTraceparent('garbage'))).toBeDefined();
  });

  it('of a batch is that of the message with the same key, else that of the first', () => {
    const [one, two] = [1, 2].map((digit) => `00-${String(digit).repeat(32)}-${SPAN_ID}-01`);
    const messages = [
      { key: 'A1', headers: { traceparent: one ?? '' } },
      { key: 'A2', headers: { traceparent: two ?? '' } },
      { key: 'A3', headers: {} },
    ];
    traceContext.runBatch(messages, () => {
      const traceIdOf = (key: string): string | undefined =>
        parseTraceparent(traceContext.causeOf(key))?.traceId;
      expect([traceIdOf('A1'), traceIdOf('A2')]).toEqual(['1'.repeat(32), '2'.repeat(32)]);
      expect([traceIdOf('A3'), traceIdOf('other')]).toEqual(['1'.repeat(32), '1'.repeat(32)]);
      expect(parseTraceparent(traceContext.current())?.traceId).toBe('1'.repeat(32));
    });
    expect(traceContext.causeOf('A1')).toBeUndefined();
  });
});
