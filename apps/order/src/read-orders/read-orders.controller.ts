import { Controller, Get, Param } from '@nestjs/common';
import { InstantMs, ListOrdersQuery, OrderNo, type OrderPage, type OrderView } from '#libs/contracts';
import { CurrentUser, pageCursor, ZodQuery, type User } from '#libs/service-kit';
import { z } from 'zod';
import { orderNotFound } from '../domain/errors.js';
import { OrderStore } from '../order-store/order-store.js';
import { orderView } from './order-view.js';

/** When the last order of the page was made, and its number. */
const CURSOR = pageCursor(z.tuple([InstantMs, OrderNo]));

/** A buyer sees their own orders; another's is as unknown as one that does not exist. */
@Controller('api/orders')
export class ReadOrdersController {
  constructor(private readonly store: OrderStore) {}

  @Get(':orderNo')
  async one(@Param('orderNo') orderNo: string, @CurrentUser() user: User): Promise<OrderView> {
    const order = OrderNo.safeParse(orderNo).success ? await this.store.read(orderNo) : undefined;
    if (order?.buyerId !== user.userId) throw orderNotFound(orderNo);
    return orderView(order);
  }

  @Get()
  async page(
    @ZodQuery(ListOrdersQuery) query: z.output<typeof ListOrdersQuery>,
    @CurrentUser() user: User,
  ): Promise<OrderPage> {
    const before = query.cursor === undefined ? undefined : positionOf(query.cursor);
    // One more than asked for tells whether there is another page.
    const found = await this.store.page(user.userId, query.limit + 1, before);
    const orders = found.slice(0, query.limit);
    const last = orders.at(-1);
    return {
      items: orders.map(orderView),
      ...(found.length > query.limit &&
        last !== undefined && { nextCursor: CURSOR.encode([last.createdAtMs, last.orderNo]) }),
    };
  }
}

function positionOf(cursor: string): { createdAtMs: number; orderNo: string } {
  const [createdAtMs, orderNo] = CURSOR.decode(cursor);
  return { createdAtMs, orderNo };
}
