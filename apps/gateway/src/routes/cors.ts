import { Inject, Injectable, type OnModuleInit } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import cors from '@fastify/cors';
import type { FastifyInstance } from 'fastify';
import { GATEWAY_CONFIG, type GatewayConfig } from '../gateway.config.js';

/** A browser need not ask again for so long. */
const PREFLIGHT_SECONDS = 600;

/**
 * Lets the pages of other origins use the API: those of `CORS_ORIGINS`, and none without it. No credentials: a token is sent
 * by the page itself, never by the browser on its own.
 */
@Injectable()
export class Cors implements OnModuleInit {
  constructor(
    private readonly adapterHost: HttpAdapterHost,
    @Inject(GATEWAY_CONFIG) private readonly config: GatewayConfig,
  ) {}

  onModuleInit(): void {
    if (this.config.CORS_ORIGINS.length === 0) return;
    const fastify: FastifyInstance = this.adapterHost.httpAdapter.getInstance();
    // Not awaited, see `ProxiedRoutes`.
    void fastify.register(cors, {
      origin: this.config.CORS_ORIGINS,
      methods: ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'],
      allowedHeaders: [
        'authorization',
        'content-type',
        'idempotency-key',
        'last-event-id',
        'admission-token',
        'x-correlation-id',
        'traceparent',
      ],
      exposedHeaders: ['retry-after', 'link', 'x-correlation-id'],
      maxAge: PREFLIGHT_SECONDS,
    });
  }
}
