import { z } from 'zod';
import type { ZodOpenApiPathsObject } from 'zod-openapi';
import { ListShowsQuery, NewShow, ShowView } from '#libs/contracts';
import { body, json, open, problem } from './answers.js';
import { showLinks } from './links.js';

/** On sale for as long as this shop may stand. */
const EXAMPLE: z.input<typeof NewShow> = {
  title: 'The Ring, the whole of it',
  venue: 'Green Hill',
  startsAt: '2199-07-25T16:00:00Z',
  sessions: [
    {
      startsAt: '2199-07-25T16:00:00Z',
      ticketTypes: [
        {
          name: 'Standing',
          priceMinor: 4_950,
          currency: 'EUR',
          quantity: 500,
          perUserLimit: 500,
          saleOpensAt: '2026-01-01T00:00:00Z',
        },
      ],
    },
  ],
};

export const showPaths: ZodOpenApiPathsObject = {
  '/api/shows': {
    get: {
      operationId: 'listShows',
      tags: ['shows'],
      summary: 'The shows that are not over, soonest first, with what is left of their tickets',
      description: 'There is another page when the answer has a `Link` header with `rel="next"`.',
      security: open,
      requestParams: { query: ListShowsQuery },
      responses: {
        '200': { ...json(z.array(ShowView), 'The shows'), links: showLinks('/0') },
        '400': problem('INVALID_REQUEST'),
      },
    },
  },
  '/api/admin/shows': {
    post: {
      operationId: 'createShow',
      tags: ['shows'],
      summary: 'Put a show on sale (role admin)',
      requestBody: body(NewShow, EXAMPLE),
      responses: {
        '201': { ...json(ShowView, 'The show with its ids'), links: showLinks('') },
        '400': problem('INVALID_REQUEST'),
        '401': problem('UNAUTHENTICATED'),
        '403': problem('FORBIDDEN'),
      },
    },
  },
};
