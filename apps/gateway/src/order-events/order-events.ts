import { Inject, Injectable, type OnModuleDestroy } from '@nestjs/common';
import type { OutgoingHttpHeaders, ServerResponse } from 'node:http';
import type { Logger } from 'pino';
import { Gauge } from 'prom-client';
import { OrderStatus, type OrderView } from '#libs/contracts';
import { LOGGER, Metrics } from '#libs/service-kit';
import { endsStream, isProgress, type StatusChange } from '../domain/order-progress.js';
import { GATEWAY_CONFIG, type GatewayConfig } from '../gateway.config.js';
import { ReadOrder } from '../read-order/read-order.js';
import type { Caller } from '../upstream/call.js';
import { OrderFeed } from './order-feed.js';
import { OrderStream } from './order-stream.js';
import { StreamSlots } from './stream-slots.js';

const HEARTBEAT_MS = 15_000;

export type StreamRequest = {
  orderNo: string;
  buyerId: string;
  caller: Caller;
  /** The last status that was seen on an earlier connection; whatever else it may be counts as none. */
  lastEventId?: string | undefined;
};
type Connection = { response: ServerResponse; headers: OutgoingHttpHeaders };

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
   * Opens a stream: the present status first (or all that was missed since `lastEventId`), then every change until the
   * final one. None is opened when the final one has been seen.
   *
   * @throws {DomainError} `ORDER_NOT_FOUND`, `OVERLOADED`, `SERVICE_UNAVAILABLE` before `connect` is called; nothing after it.
   * @throws {HttpProblem} 429 `RATE_LIMITED`, likewise.
   */
  async stream(request: StreamRequest, connect: () => Connection): Promise<'opened' | 'nothing-to-come'> {
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
    const seen = OrderStatus.safeParse(request.lastEventId).data;
    if (seen !== undefined && endsStream(order.status) && !isProgress(seen, order.status)) {
      unsubscribe();
      leave();
      return 'nothing-to-come';
    }
    const { response, headers } = connect();
    if (response.destroyed) {
      // The client left while the order was looked up: its `close` has been, and will not come again.
      unsubscribe();
      leave();
      return 'opened';
    }
    const stream = new OrderStream(response, seen);
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
    if (seen !== undefined)
      for (const step of order.history) stream.tell({ orderNo: order.orderNo, ...step });
    stream.tell(presentOf(order));
    for (const change of early) stream.tell(change);
    return 'opened';
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
