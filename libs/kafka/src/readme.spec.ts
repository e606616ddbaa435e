import { describe, expect, it } from '@jest/globals';
import { refusedRows } from './testing/readme-table.js';
import { UNSUPPORTED_FEATURES, unsupported } from './unsupported.js';

describe('the tables of what Kafka does not do', () => {
  it('have a row for each feature that is refused, and no other', () => {
    expect(refusedRows('Refused').map(({ feature }) => feature)).toEqual([...UNSUPPORTED_FEATURES]);
  });

  it('say for each row what is meant', () => {
    const rows = [...refusedRows('Refused'), ...refusedRows('Different')];
    expect(rows.length).toBeGreaterThan(15);
    for (const { feature, why } of rows) expect([feature, why.length > 10]).toEqual([feature, true]);
  });

  it('are named by the refusal', () => {
    expect(unsupported('delay', 'recall')).toMatchObject({
      code: 'UNSUPPORTED',
      kind: 'invalid',
      message: 'UNSUPPORTED: delay on Kafka: recall (libs/kafka/README.md)',
    });
  });
});
