import { Injectable, type OnModuleInit } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import type { FastifyInstance } from 'fastify';
import type { ServiceAdapter } from '#libs/service-kit';
import { describedRoutes } from '../docs/openapi.js';
import { Upstreams } from '../upstream/upstreams.js';
import { forward } from './forward.js';
import { PROXIED_ROUTES } from './route-table.js';

/**
 * Registers the route table with Fastify itself: no controller, so no guard and no body parser stands
 * between. Each service checks the caller's token on its own; size and type of bodies are checked here.
 */
@Injectable()
export class ProxiedRoutes implements OnModuleInit {
  constructor(
    private readonly adapterHost: HttpAdapterHost,
    private readonly upstreams: Upstreams,
  ) {}

  onModuleInit(): void {
    const adapter = this.adapterHost.httpAdapter as unknown as ServiceAdapter;
    const fastify: FastifyInstance = adapter.getInstance();
    for (const { url, methods } of describedRoutes()) adapter.know(url, methods);
    // Not awaited: that would have Fastify finish its routes before Nest has given it the error handler.
    void fastify.register((scope, _options, done) => {
      // Of this scope only. The bytes stay bytes; Fastify still bounds them (413) and refuses other types (415).
      scope.removeAllContentTypeParsers();
      scope.addContentTypeParser('application/json', { parseAs: 'buffer' }, (_request, body, parsed) => {
        parsed(null, body);
      });
      for (const route of PROXIED_ROUTES) {
        scope.route({
          url: route.url,
          method: [...route.methods],
          handler: (request, reply) => forward(this.upstreams, route, request, reply),
        });
      }
      done();
    });
  }
}
