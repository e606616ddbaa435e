import { z } from 'zod';
import type { ZodOpenApiPathsObject } from 'zod-openapi';
import { NewShow, ShowView } from '#libs/contracts';
import { body, json, open, problem } from './answers.js';

export const showPaths: ZodOpenApiPathsObject = {
  '/api/shows': {
    get: {
      tags: ['shows'],
      summary: 'All shows with what is left of their tickets',
      security: open,
      responses: { '200': json(z.array(ShowView), 'The shows') },
    },
  },
  '/api/admin/shows': {
    post: {
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
