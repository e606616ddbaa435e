import { z } from 'zod';
import type { ZodOpenApiPathsObject } from 'zod-openapi';
import { ListShowsQuery, NewShow, ShowView } from '#libs/contracts';
import { body, json, open, problem } from './answers.js';

export const showPaths: ZodOpenApiPathsObject = {
  '/api/shows': {
    get: {
      operationId: 'listShows',
      tags: ['shows'],
      summary: 'The shows that are not over, soonest first, with what is left of their tickets',
      description: 'There is another page when the answer has a `Link` header with `rel="next"`.',
      security: open,
      requestParams: { query: ListShowsQuery },
      responses: { '200': json(z.array(ShowView), 'The shows'), '400': problem('INVALID_REQUEST') },
    },
  },
  '/api/admin/shows': {
    post: {
      operationId: 'createShow',
      tags: ['shows'],
      summary: 'Put a show on sale (role admin)',
      requestBody: body(NewShow),
      responses: {
        '201': json(ShowView, 'The show with its ids'),
        '400': problem('INVALID_REQUEST'),
        '401': problem('UNAUTHENTICATED'),
        '403': problem('FORBIDDEN'),
      },
    },
  },
};
