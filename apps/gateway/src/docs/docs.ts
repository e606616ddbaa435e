import { Injectable, type OnModuleInit } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import swagger from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import type { FastifyInstance } from 'fastify';
import { openApiDocument } from './openapi.js';

/** `/docs` for people, `/docs/json` for programs. */
@Injectable()
export class Docs implements OnModuleInit {
  constructor(private readonly adapterHost: HttpAdapterHost) {}

  onModuleInit(): void {
    const fastify: FastifyInstance = this.adapterHost.httpAdapter.getInstance();
    // Not awaited, see `ProxiedRoutes`.
    void fastify.register(swagger, {
      mode: 'static',
      // Made by zod-openapi, whose types of the same standard are its own.
      specification: { document: openApiDocument() as never },
    });
    void fastify.register(swaggerUi, { routePrefix: '/docs' });
  }
}
