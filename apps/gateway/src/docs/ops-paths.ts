import { z } from 'zod';
import type { ZodOpenApiPathsObject } from 'zod-openapi';
import {
  AcceptedOrders,
  AlertList,
  AuditPage,
  DeadLetterPage,
  DeadLetterPatch,
  DeadLetterView,
  ListAuditQuery,
  ListDeadLettersQuery,
  MessageTraceView,
  MessagesQuery,
  MessagesView,
  MissingOrders,
  RedriveFilter,
  RedriveResponse,
  ResetGroupRequest,
  Verdict,
  VerdictQuery,
} from '#libs/contracts';
import { body, json, open, problem } from './answers.js';
import { auditPageLinks, deadLetterPageLinks, deadLetterTraceLinks } from './links.js';

const tags = ['ops'];
const id = z.object({ id: z.string() });
const notFound = problem('NOT_FOUND');
const resolved = problem('DEAD_LETTER_RESOLVED');

/** Role admin, but for health. */
export const opsPaths: ZodOpenApiPathsObject = {
  '/api/ops/groups': {
    get: {
      operationId: 'listGroups',
      tags,
      summary: 'Consumer groups: lag, members, in flight, retrying, dead letters',
      responses: { '200': { description: 'The groups' } },
    },
  },
  '/api/ops/groups/{group}/reset': {
    post: {
      operationId: 'resetGroup',
      tags,
      summary: 'Set a group back (or forward) and have it consume from there',
      requestParams: { path: z.object({ group: z.string() }) },
      requestBody: body(ResetGroupRequest),
      responses: { '202': { description: 'Set' }, '404': notFound },
    },
  },
  '/api/ops/dead-letters': {
    get: {
      operationId: 'listDeadLetters',
      tags,
      summary: 'Messages that no retry could save',
      requestParams: { query: ListDeadLettersQuery },
      responses: { '200': { ...json(DeadLetterPage, 'A page, newest first'), links: deadLetterPageLinks } },
    },
  },
  '/api/ops/dead-letters/{id}': {
    get: {
      operationId: 'readDeadLetter',
      tags,
      summary: 'One dead letter with its body, attempts and cause',
      requestParams: { path: id },
      responses: {
        '200': { ...json(DeadLetterView, 'The dead letter'), links: deadLetterTraceLinks },
        '404': notFound,
      },
    },
    patch: {
      operationId: 'editDeadLetter',
      tags,
      summary: 'Change its body or its headers before it is given back',
      requestParams: { path: id },
      requestBody: body(DeadLetterPatch),
      responses: { '200': json(DeadLetterView, 'As it is now'), '404': notFound, '409': resolved },
    },
    delete: {
      operationId: 'discardDeadLetter',
      tags,
      summary: 'Discard it for good',
      requestParams: { path: id },
      responses: { '204': { description: 'Gone' }, '404': notFound, '409': resolved },
    },
  },
  '/api/ops/dead-letters/{id}/redrive': {
    post: {
      operationId: 'redriveDeadLetter',
      tags,
      summary: 'Give it back to its group',
      requestParams: { path: id },
      responses: { '202': { description: 'On its way' }, '404': notFound, '409': resolved },
    },
  },
  '/api/ops/dead-letters/redrive': {
    post: {
      operationId: 'redriveDeadLetters',
      tags,
      summary: 'Give back all that match, or only count them',
      requestBody: body(RedriveFilter),
      responses: { '202': json(RedriveResponse, 'How many') },
    },
  },
  '/api/ops/messages': {
    get: {
      operationId: 'listMessages',
      tags,
      summary: 'The messages of a key, each with its life',
      requestParams: { query: MessagesQuery },
      responses: { '200': json(MessagesView, 'The newest 100, oldest first') },
    },
  },
  '/api/ops/messages/{id}/trace': {
    get: {
      operationId: 'traceMessage',
      tags,
      summary: "A message's life",
      requestParams: { path: id },
      responses: { '200': json(MessageTraceView, 'Its steps, oldest first') },
    },
  },
  '/api/ops/alerts': {
    get: {
      operationId: 'listAlerts',
      tags,
      summary: 'Firing and recent alerts',
      responses: { '200': json(AlertList, 'Newest first') },
    },
  },
  '/api/ops/audit': {
    get: {
      operationId: 'listAudit',
      tags,
      summary: 'Who did what by hand',
      requestParams: { query: ListAuditQuery },
      responses: { '200': { ...json(AuditPage, 'A page, newest first'), links: auditPageLinks } },
    },
  },
  '/api/ops/verdict': {
    get: {
      operationId: 'giveVerdict',
      tags,
      summary: 'Whether nothing was oversold, undersold, lost or charged twice',
      requestParams: { query: VerdictQuery },
      responses: { '200': json(Verdict, 'The checks') },
    },
  },
  '/api/ops/verdict/accepted': {
    post: {
      operationId: 'checkAccepted',
      tags,
      summary: 'Which of these orders, accepted with 202, have no order row',
      requestBody: body(AcceptedOrders),
      responses: { '200': json(MissingOrders, 'Those') },
    },
  },
  '/api/ops/mailbox': {
    get: {
      operationId: 'readMailbox',
      tags,
      summary: 'What buyers were sent: mails of the local mailbox, SMS, push; newest first',
      requestParams: {
        query: z.object({
          to: z.string().optional(),
          channel: z.enum(['email', 'sms', 'push']).optional(),
          limit: z.int().min(1).max(500).optional(),
        }),
      },
      responses: { '200': { description: 'The messages' } },
    },
  },
  '/health/ready': {
    get: {
      operationId: 'readiness',
      tags,
      summary: 'Whether this process can do its work',
      security: open,
      responses: { '200': { description: 'It can' }, '503': problem('NOT_READY') },
    },
  },
};
