import { Module } from '@nestjs/common';
import { loadConfig, ServiceModule } from '#libs/service-kit';
import { RedisStockModule } from '#libs/redis-stock';
import { AuthController } from './auth/auth.controller.js';
import { CodeExpiredConsumer } from './auth/code-expired.consumer.js';
import { CodeStore } from './auth/code-store.js';
import { Identities } from './auth/identities.js';
import { OpenSession } from './auth/open-session.js';
import { RequestCode } from './auth/request-code.js';
import { SignInLimits } from './auth/sign-in-limits.js';
import { BrokerGate } from './broker-gate/broker-gate.js';
import { ClientAddress } from './client-address/client-address.js';
import { Docs } from './docs/docs.js';
import { GATEWAY_CONFIG, GatewayConfig } from './gateway.config.js';
import { OrderEvents } from './order-events/order-events.js';
import { OrderEventsConsumer } from './order-events/order-events.consumer.js';
import { OrderEventsController } from './order-events/order-events.controller.js';
import { OrderFeed } from './order-events/order-feed.js';
import { StreamTokens } from './order-events/stream-tokens.js';
import { PayOrder } from './pay-order/pay-order.js';
import { PayOrderController } from './pay-order/pay-order.controller.js';
import { Admission } from './place-order/admission.js';
import { BuyerRateLimit } from './place-order/buyer-rate-limit.js';
import { PlaceOrder } from './place-order/place-order.js';
import { PlaceOrderController } from './place-order/place-order.controller.js';
import { SubmitOrder } from './place-order/submit-order.js';
import { ReadOrder } from './read-order/read-order.js';
import { ReadOrderController } from './read-order/read-order.controller.js';
import { Cors } from './routes/cors.js';
import { IndexController } from './routes/index.controller.js';
import { ProxiedRoutes } from './routes/proxied-routes.js';
import { OrderService } from './upstream/order-service.js';
import { Upstreams } from './upstream/upstreams.js';

@Module({
  imports: [ServiceModule.forRoot({ name: 'gateway', redis: true }), RedisStockModule],
  controllers: [
    PlaceOrderController,
    ReadOrderController,
    OrderEventsController,
    OrderEventsConsumer,
    PayOrderController,
    AuthController,
    CodeExpiredConsumer,
    IndexController,
  ],
  providers: [
    { provide: GATEWAY_CONFIG, useFactory: () => loadConfig(GatewayConfig) },
    Upstreams,
    OrderService,
    BrokerGate,
    Admission,
    BuyerRateLimit,
    SubmitOrder,
    PlaceOrder,
    ReadOrder,
    OrderFeed,
    OrderEvents,
    StreamTokens,
    PayOrder,
    ClientAddress,
    Identities,
    SignInLimits,
    CodeStore,
    RequestCode,
    OpenSession,
    ProxiedRoutes,
    Cors,
    Docs,
  ],
})
export class GatewayModule {}
