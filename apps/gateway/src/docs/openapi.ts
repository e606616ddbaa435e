import { createDocument, type ZodOpenApiObject, type ZodOpenApiPathsObject } from 'zod-openapi';
import { authPaths } from './auth-paths.js';
import { withCommonRefusals } from './common-refusals.js';
import { opsPaths } from './ops-paths.js';
import { orderPaths } from './order-paths.js';
import { paymentPaths } from './payment-paths.js';
import { showPaths } from './show-paths.js';

const DESCRIPTION = `A ticket shop built on message queues.

Money is in integer minor units, times are ISO 8601 in UTC. Errors are \`application/problem+json\`
whose \`code\` says what happened. A 503 and a 429 carry \`Retry-After\`; repeat an order with the same
\`Idempotency-Key\`.`;

/** The paths of the shop's public API, made from the schemas that the services parse with. */
export const PATHS: ZodOpenApiPathsObject = withCommonRefusals({
  ...authPaths,
  ...showPaths,
  ...orderPaths,
  ...paymentPaths,
  ...opsPaths,
});

/** Text without NUL (`libs/service-kit/src/http/text.ts`): the rule of every string that comes in. */
const STORABLE_TEXT = '^[^\\u0000]*$';

/** What is described, as patterns of routes: `/api/orders/:orderNo` with its methods. HEAD comes with GET. */
export function describedRoutes(): { url: string; methods: string[] }[] {
  return Object.entries(PATHS).map(([path, item]) => {
    const methods = Object.keys(item ?? {}).map((method) => method.toUpperCase());
    return {
      url: path.replace(/\{(\w+)\}/g, ':$1'),
      methods: methods.includes('GET') ? [...methods, 'HEAD'] : methods,
    };
  });
}

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
  return createDocument(document, {
    override: ({ jsonSchema, io }) => {
      const { type, pattern, format, enum: values, const: only } = jsonSchema;
      if (io !== 'input' || type !== 'string') return;
      if ([pattern, format, values, only].every((bound) => bound === undefined))
        jsonSchema.pattern = STORABLE_TEXT;
    },
  });
}
