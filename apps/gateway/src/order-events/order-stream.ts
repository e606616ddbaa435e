import type { OutgoingHttpHeaders, ServerResponse } from 'node:http';
import type { OrderStatus } from '#libs/contracts';
import { endsStream, isProgress, type StatusChange } from '../domain/order-progress.js';

/** A reader this far behind is not reading; an order has a handful of events of 150 bytes each. */
const MAX_UNREAD_BYTES = 16 * 1024;
/** After a lost connection the browser asks again after this. */
const RECONNECT_MS = 2_000;

export const STREAM_HEADERS = {
  'content-type': 'text/event-stream; charset=utf-8',
  // Neither kept nor compressed: a proxy would gather events to do so.
  'cache-control': 'no-cache, no-transform',
  // Proxies (nginx) would hold events back to fill a buffer.
  'x-accel-buffering': 'no',
} as const;

/** One buyer's event stream: writes what is news, in order, and ends with the final status. */
export class OrderStream {
  /** @param last the status that the reader has seen, on an earlier connection to begin with */
  constructor(
    private readonly response: ServerResponse,
    private last: OrderStatus | undefined,
  ) {}

  open(headers: OutgoingHttpHeaders): void {
    this.response.writeHead(200, { ...headers, ...STREAM_HEADERS });
    this.write(`retry: ${RECONNECT_MS}\n\n`);
  }

  tell(change: StatusChange): void {
    if (this.last !== undefined && !isProgress(this.last, change.status)) return;
    this.last = change.status;
    const { orderNo, status, at } = change;
    this.write(`id: ${status}\nevent: status\ndata: ${JSON.stringify({ orderNo, status, at })}\n\n`);
    if (endsStream(status)) this.end();
  }

  /** A comment line: shows both ends, and every proxy between them, that the connection lives. */
  beat(): void {
    this.write(': heartbeat\n\n');
  }

  end(): void {
    this.response.end();
  }

  private write(text: string): void {
    if (this.response.writableEnded || this.response.destroyed) return;
    this.response.write(text);
    if (this.response.writableLength > MAX_UNREAD_BYTES) this.response.destroy();
  }
}
