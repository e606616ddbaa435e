import { describe, expect, it } from '@jest/globals';
import { Sequences } from './sequences.js';

describe('what a snapshot says of producers', () => {
  const facts = { id: 7, name: 'shop', owner: 'first', epoch: 2 };
  const stamp = (sequence: number) => ({ producerId: 7, epoch: 2, sequence });

  it('is how far each was: the next one goes on there, and none is stored again', () => {
    const before = new Sequences();
    before.open(facts);
    for (let sequence = 1; sequence <= 5; sequence++) before.stored(stamp(sequence), sequence * 100);
    const after = new Sequences();
    for (const each of before.facts()) after.catchUp(each);
    expect(after.admit(stamp(6))).toBeUndefined();
    // Where its receipts were is not known any more.
    expect(() => after.admit(stamp(5))).toThrow('SEQUENCE_GAP');
    expect(() => after.admit(stamp(1))).toThrow('SEQUENCE_GAP');
  });

  it('is no news to what was read of the journal before it', () => {
    const sequences = new Sequences();
    sequences.open(facts);
    sequences.stored(stamp(1), 100);
    sequences.catchUp({ ...facts, last: 1 });
    expect(sequences.admit(stamp(1))).toBe(100);
  });
});
