import type { ArgumentsHost } from '@nestjs/common';
import { expect, test } from '@jest/globals';
import { DomainError } from '#libs/messaging';
import { createLogger } from '../logs/logger.js';
import { ProblemFilter } from './problem.filter.js';

/** What is logged of a request that fails. */
function loggedOf(url: string): string {
  const lines: string[] = [];
  const logger = createLogger({ name: 'gateway', level: 'debug' }, { write: (line) => lines.push(line) });
  const request = { id: 'c-1', method: 'GET', url };
  const reply = { sent: true, raw: { destroy: () => undefined } };
  const http = { getRequest: () => request, getResponse: () => reply };
  const host = { getType: () => 'http', switchToHttp: () => http } as unknown as ArgumentsHost;
  void new ProblemFilter(logger).catch(new DomainError('AWAY', 'transient', 'away'), host);
  return lines.join('');
}

test.each(['/events?token=eyJ.eyJ.sig', '/events?a=1&token=eyJ.eyJ.sig&b=2', '/events?%74oken=eyJ.eyJ.sig'])(
  'the log of %s says where it was sent, and not its token',
  (url) => {
    const logged = loggedOf(url);
    expect(logged).toContain('/events');
    expect(logged).not.toContain('eyJ');
  },
);

test('the rest of a query is logged', () => {
  expect(loggedOf('/shows?cursor=abc&limit=2')).toContain('/shows?cursor=abc&limit=2');
});
