import type { ZodOpenApiPathsObject } from 'zod-openapi';
import { OpenSession, RequestCode, SessionResponse } from '#libs/contracts';
import { body, json, open, problem, problemForNow } from './answers.js';

export const authPaths: ZodOpenApiPathsObject = {
  '/api/auth/codes': {
    post: {
      operationId: 'requestCode',
      tags: ['auth'],
      summary: 'Have a sign-in code sent by SMS, valid for five minutes',
      description:
        'The phone as people type it: in national form, with + or 00, spaces, dashes. Earlier codes stay good. 429 when the phone, the address, or phones like this one have had enough for now, or for today.',
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
      description:
        'The code is used up by a 201 only. After five wrong ones from where it was asked for, and five from everywhere else together, it is good for nothing there. 429 after many wrong codes from one address.',
      security: open,
      requestBody: body(OpenSession),
      responses: {
        '201': json(SessionResponse, 'Signed in'),
        '400': problem('INVALID_REQUEST'),
        '401': problem('CODE_INVALID'),
        '429': problemForNow('RATE_LIMITED'),
        '503': problemForNow('SERVICE_UNAVAILABLE'),
      },
    },
  },
};
