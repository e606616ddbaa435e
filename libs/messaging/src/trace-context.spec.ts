import { describe, expect, it } from '@jest/globals';
import { childTraceparent, formatTraceparent, parseTraceparent, traceOf } from './trace-context.js';

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

  it('is taken over from a message, or left out', () => {
    expect(traceOf({ headers: { traceparent: 'x', other: 'y' } })).toEqual({ traceparent: 'x' });
    expect(traceOf({ headers: {} })).toEqual({});
  });
});
