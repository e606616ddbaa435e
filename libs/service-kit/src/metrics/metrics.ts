import { Controller, Get, Header, Inject, Injectable } from '@nestjs/common';
import type { FastifyInstance } from 'fastify';
import { collectDefaultMetrics, Histogram, Registry } from 'prom-client';
import { Public } from '../auth/decorators.js';

/** From a Lua call to a slow checkout, seconds. */
const HTTP_BUCKETS_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

const CLIENT_CLOSED_REQUEST = 499;

/** The service's registry; a service adds metrics of its own to `registry`. */
@Injectable()
export class Metrics {
  readonly registry = new Registry();
  private readonly httpDuration = new Histogram({
    name: 'http_request_duration_seconds',
    help: 'Time from the first byte of a request to the last of its answer.',
    labelNames: ['method', 'route', 'status'] as const,
    buckets: HTTP_BUCKETS_SECONDS,
    registers: [this.registry],
  });

  constructor(service: string) {
    this.registry.setDefaultLabels({ service });
    collectDefaultMetrics({ register: this.registry });
  }

  /**
   * Measures every request by its route's pattern: by URL there would be a series per order. One whose client hung up
   * before its answer began counts as 499, nginx's number for it. Fastify's `onResponse` does not come for those.
   */
  watch(fastify: FastifyInstance): void {
    fastify.addHook('onRequest', (request, reply, done) => {
      const startedAtMs = performance.now();
      // Comes once: after the last byte, or when the connection breaks before it.
      reply.raw.once('close', () => {
        this.httpDuration.observe(
          {
            method: request.method,
            route: request.is404 ? 'unknown' : (request.routeOptions.url ?? 'unknown'),
            status: String(reply.raw.headersSent ? reply.raw.statusCode : CLIENT_CLOSED_REQUEST),
          },
          (performance.now() - startedAtMs) / 1000,
        );
      });
      done();
    });
  }
}

@Controller('metrics')
@Public()
export class MetricsController {
  constructor(@Inject(Metrics) private readonly metrics: Metrics) {}

  @Get()
  @Header('content-type', 'text/plain; version=0.0.4; charset=utf-8')
  scrape(): Promise<string> {
    return this.metrics.registry.metrics();
  }
}
