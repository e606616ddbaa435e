import { Inject, Injectable, type OnModuleDestroy } from '@nestjs/common';
import type { ServerResponse } from 'node:http';
import type { Logger } from 'pino';
import { Gauge } from 'prom-client';
import type { OrderView } from '#libs/contracts';
import { LOGGER, Metrics } from '#libs/service-kit';
import type { StatusChange } from '../domain/order-progress.js';
import { GATEWAY_CONFIG, type GatewayConfig } from '../gateway.config.js';
import { ReadOrder } from '../read-order/read-order.js';
import type { Caller } from '../upstream/call.js';
import { OrderFeed } from './order-feed.js';
import { OrderStream } from './order-stream.js';
import { StreamSlots } from './stream-slots.js';

const HEARTBEAT_MS = 15_000;

export type StreamRequest = { orderNo: string; buyerId: string; caller: Caller };
type Connection = { response: ServerResponse; headers: Readonly<Record<string, string>> };

/** The open event streams of this process. */
@Injectable()
export class OrderEvents implements OnModuleDestroy {
  private readonly open = new Set<OrderStream>();
  private readonly slots: StreamSlots;

  constructor(
    private readonly readOrder: ReadOrder,
    private readonly feed: OrderFeed,
    @Inject(GATEWAY_CONFIG) config: GatewayConfig,
    @Inject(LOGGER) private readonly logger: Logger,
    metrics: Metrics,
  ) {
    this.slots = new StreamSlots({
      total: config.MAX_EVENT_STREAMS,
      perUser: config.MAX_EVENT_STREAMS_PER_USER,
    });
    const streams: Gauge = new Gauge({
      name: 'gateway_event_streams',
      help: 'Open event streams.',
      registers: [metrics.registry],
      collect: () => streams.set(this.open.size),
    });
  }

  /**
   * Opens a stream: the present status first, then every change until the final one.
   *
   * @throws {DomainError} `ORDER_NOT_FOUND`, `OVERLOADED`, `SERVICE_UNAVAILABLE` before `connect` is called; nothing after it.
   * @throws {HttpProblem} 429 `RATE_LIMITED`, likewise.
   */
  async stream(request: StreamRequest, connect: () => Connection): Promise<void> {
    const leave = this.slots.take(request.buyerId);
    // Listening begins before reading: a change in between would be in neither.
    const early: StatusChange[] = [];
    let listener = (change: StatusChange): void => void early.push(change);
    const unsubscribe = this.feed.subscribe(request.orderNo, (change) => listener(change));
    let order: OrderView;
    try {
      order = await this.readOrder.execute(request.orderNo, request.buyerId, request.caller);
    } catch (error) {
      unsubscribe();
      leave();
      throw error;
    }
    const { response, headers } = connect();
    if (response.destroyed) {
      // The client left while the order was looked up: its `close` has been, and will not come again.
      unsubscribe();
      leave();
      return;
    }
    const stream = new OrderStream(response);
    this.open.add(stream);
    const heartbeat = setInterval(() => void this.beat(stream, request), HEARTBEAT_MS);
    response.once('close', () => {
      clearInterval(heartbeat);
      unsubscribe();
      leave();
      this.open.delete(stream);
    });
    listener = (change) => stream.tell(change);
    stream.open(headers);
    stream.tell(presentOf(order));
    for (const change of early) stream.tell(change);
  }

  /** Streams never end by themselves; without this the HTTP server could not close. */
  onModuleDestroy(): void {
    for (const stream of this.open) stream.end();
  }

  /** Broadcast messages may be missed (a reconnect to the broker), so each heartbeat looks the order up again. */
  private async beat(stream: OrderStream, { orderNo, buyerId, caller }: StreamRequest): Promise<void> {
    stream.beat();
    try {
      caller.asksAgain();
      stream.tell(presentOf(await this.readOrder.execute(orderNo, buyerId, caller)));
    } catch (error) {
      // The next heartbeat tries again; a message may come before.
      this.logger.debug({ err: error, orderNo }, 'a stream could not be refreshed');
    }
  }
}

function presentOf(order: OrderView): StatusChange {
  const at = order.history.findLast((step) => step.status === order.status)?.at ?? new Date().toISOString();
  return { orderNo: order.orderNo, status: order.status, at };
}
