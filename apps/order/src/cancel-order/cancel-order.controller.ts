import { Controller, HttpCode, Param, Post } from '@nestjs/common';
import { CurrentUser, type User } from '#libs/service-kit';
import { CancelOrder } from './cancel-order.js';

@Controller('api/orders')
export class CancelOrderController {
  constructor(private readonly cancelOrder: CancelOrder) {}

  /** 202: the order is cancelled; its tickets go back by message. */
  @Post(':orderNo/cancel')
  @HttpCode(202)
  async cancel(@Param('orderNo') orderNo: string, @CurrentUser() user: User): Promise<void> {
    await this.cancelOrder.execute(orderNo, user.userId);
  }
}
