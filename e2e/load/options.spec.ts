import { describe, expect, it } from '@jest/globals';
import { readOptions } from './options.js';

describe('the options of a flash sale', () => {
  it('bring all buyers within two seconds unless a rate is given', () => {
    expect(readOptions(['--buyers', '5000', '--tickets', '500'])).toMatchObject({
      buyers: 5_000,
      tickets: 500,
      ratePerSecond: 2_500,
      payShare: 1,
    });
    expect(readOptions(['--buyers', '100', '--tickets', '5', '--rate', '10', '--pay', '0.5'])).toMatchObject({
      ratePerSecond: 10,
      payShare: 0.5,
    });
  });

  it.each([
    [['--buyers', 'many'], '--buyers must be a number from 1 to 1000000, not "many"'],
    [['--buyers', '1.5'], '--buyers must be a whole number, not "1.5"'],
    [['--buyers', '0'], '--buyers must be'],
    [['--tickets', ''], '--tickets must be'],
    [['--pay', '2'], '--pay must be a number from 0 to 1, not "2"'],
    [['--rate', '-1'], '--rate'],
    [['--byers', '3'], '--byers'],
    [['5000'], '5000'],
  ])('refuse %j in one line that names it', (args, line) => {
    let message = '';
    try {
      readOptions(args);
    } catch (error) {
      message = (error as Error).message;
    }
    expect(message).toContain(line);
    expect(message).not.toContain('\n');
  });
});
