import { Injectable } from '@nestjs/common';
import { OrderView } from '#libs/contracts';
import { serviceUnavailable } from '../domain/errors.js';
import { callUpstream, problemFrom, type Caller } from './call.js';
import { Upstreams } from './upstreams.js';

/** The order service as its HTTP API shows it to the caller. */
@Injectable()
export class OrderService {
  constructor(private readonly upstreams: Upstreams) {}

  /**
   * The caller's order; undefined when it is not written (yet) or is somebody else's.
   *
   * @throws {DomainError} `SERVICE_UNAVAILABLE` when the order service cannot be reached.
   */
  async find(orderNo: string, caller: Caller): Promise<OrderView | undefined> {
    const answer = await callUpstream(
      this.upstreams,
      'order',
      {
        method: 'GET',
        path: `/api/orders/${encodeURIComponent(orderNo)}`,
      },
      caller,
    );
    if (answer.status === 404) return undefined;
    if (answer.status !== 200) throw problemFrom('order', answer);
    const order = OrderView.safeParse(answer.body);
    if (!order.success)
      throw serviceUnavailable('The order service answered something else than an order.', order.error);
    return order.data;
  }
}
