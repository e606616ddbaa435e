import { Inject, Injectable, type OnModuleInit } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { Counter, Gauge } from 'prom-client';
import { Metrics } from '#libs/service-kit';
import { overloaded } from '../domain/errors.js';
import { GATEWAY_CONFIG, type GatewayConfig } from '../gateway.config.js';

/**
 * Bounds the requests to buy that are in work at once (docs/patterns/load-shedding.md).
 *
 * By Little's law the bound is the longest wait times the throughput: 4,000 in work at 10,000/s are
 * 0.4 s. A request beyond it is refused before its token is checked, which is the dearest part of a
 * request; it is counted once its body has arrived, so that slow senders cannot fill the bound.
 */
@Injectable()
export class Admission implements OnModuleInit {
  private inFlight = 0;
  private readonly admitted = new WeakSet<FastifyRequest>();
  private readonly shed: Counter;

  constructor(
    private readonly adapterHost: HttpAdapterHost,
    @Inject(GATEWAY_CONFIG) private readonly config: GatewayConfig,
    metrics: Metrics,
  ) {
    const registers = [metrics.registry];
    this.shed = new Counter({
      name: 'gateway_orders_shed_total',
      help: 'Requests to buy refused because too many were in work.',
      registers,
    });
    const inFlight: Gauge = new Gauge({
      name: 'gateway_orders_in_flight',
      help: 'Requests to buy in work.',
      registers,
      collect: () => inFlight.set(this.inFlight),
    });
  }

  onModuleInit(): void {
    const fastify: FastifyInstance = this.adapterHost.httpAdapter.getInstance();
    fastify.addHook('preValidation', (request, _reply, done) => {
      if (!isRequestToBuy(request)) {
        done();
      } else if (this.inFlight >= this.config.MAX_IN_FLIGHT_ORDERS) {
        this.shed.inc();
        done(overloaded('More orders are coming in than can be taken.'));
      } else {
        this.inFlight += 1;
        this.admitted.add(request);
        done();
      }
    });
    // When its answer is made, and not `onResponse`: that never comes for a client who hung up. Nor does
    // hanging up end the work, so it is counted until then.
    fastify.addHook('onSend', (request, _reply, payload, done) => {
      if (this.admitted.delete(request)) this.inFlight -= 1;
      done(null, payload);
    });
  }
}

const isRequestToBuy = (request: FastifyRequest): boolean =>
  request.method === 'POST' && request.routeOptions.url === '/api/orders';
