import type { ZodOpenApiOperationObject, ZodOpenApiPathsObject } from 'zod-openapi';
import { problem, problemForNow } from './answers.js';

/** The refusals that every call has, wherever it does not name its own under the same number. */
export function withCommonRefusals(paths: ZodOpenApiPathsObject): ZodOpenApiPathsObject {
  return Object.fromEntries(
    Object.entries(paths).map(([path, item]) => [
      path,
      Object.fromEntries(
        Object.entries(item as Record<string, ZodOpenApiOperationObject>).map(([method, operation]) => [
          method,
          { ...operation, responses: { ...refusalsOf(path, operation), ...operation.responses } },
        ]),
      ),
    ]),
  );
}

function refusalsOf(
  path: string,
  { security, requestBody }: ZodOpenApiOperationObject,
): ZodOpenApiOperationObject['responses'] {
  // Answered by the process itself, without a word to any other.
  if (path.startsWith('/health')) return { '400': problem('INVALID_REQUEST') };
  return {
    '400': problem('INVALID_REQUEST'),
    ...(security === undefined && { '401': problem('UNAUTHENTICATED') }),
    ...(/^\/api\/(admin|ops)\//.test(path) && { '403': problem('FORBIDDEN') }),
    ...(requestBody !== undefined && {
      '413': problem('BODY_TOO_LARGE'),
      '415': problem('UNSUPPORTED_MEDIA_TYPE'),
    }),
    '503': problemForNow('SERVICE_UNAVAILABLE'),
  };
}
