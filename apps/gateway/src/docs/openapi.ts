import { createDocument, type ZodOpenApiObject, type ZodOpenApiPathsObject } from 'zod-openapi';
import { authPaths } from './auth-paths.js';
import { opsPaths } from './ops-paths.js';
import { orderPaths } from './order-paths.js';
import { paymentPaths } from './payment-paths.js';
import { showPaths } from './show-paths.js';

const DESCRIPTION = `A ticket shop built on message queues.

Money is in integer minor units, times are ISO 8601 in UTC. Errors are \`application/problem+json\`
whose \`code\` says what happened. A 503 and a 429 carry \`Retry-After\`; repeat an order with the same
\`Idempotency-Key\`.`;

/** The paths of the shop's public API, made from the schemas that the services parse with. */
export const PATHS: ZodOpenApiPathsObject = {
  ...authPaths,
  ...showPaths,
  ...orderPaths,
  ...paymentPaths,
  ...opsPaths,
};

/** The OpenAPI 3.1 description of the shop. */
export function openApiDocument(): ReturnType<typeof createDocument> {
  const document: ZodOpenApiObject = {
    openapi: '3.1.0',
    info: {
      title: 'Stampede',
      version: '1',
      description: DESCRIPTION,
      license: { name: 'MIT', identifier: 'MIT' },
    },
    servers: [{ url: '/' }],
    security: [{ bearer: [] }],
    components: { securitySchemes: { bearer: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' } } },
    paths: PATHS,
  };
  return createDocument(document);
}
