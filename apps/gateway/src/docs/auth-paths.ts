import type { ZodOpenApiPathsObject } from 'zod-openapi';
import { OpenSession, RequestCode, SessionResponse } from '#libs/contracts';
import { body, json, open, problem, problemForNow } from './answers.js';

export const authPaths: ZodOpenApiPathsObject = {
  '/api/auth/codes': {
    post: {
      operationId: 'requestCode',
      tags: ['auth'],
      summary: 'Have a sign-in code sent by SMS, valid for five minutes',
      security: open,
      requestBody: body(RequestCode),
      responses: {
        '202': { description: 'On its way' },
        '400': problem('INVALID_REQUEST'),
        '429': problemForNow('RATE_LIMITED'),
        '503': problemForNow('SERVICE_UNAVAILABLE'),
      },
    },
  },
  '/api/auth/sessions': {
    post: {
      operationId: 'openSession',
      tags: ['auth'],
      summary: 'Trade the code for a token',
      security: open,
      requestBody: body(OpenSession),
      responses: {
        '201': json(SessionResponse, 'Signed in'),
        '400': problem('INVALID_REQUEST'),
        '401': problem('CODE_INVALID'),
      },
    },
  },
};
