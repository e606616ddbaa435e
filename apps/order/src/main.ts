import { bootService } from '#libs/service-kit';
import { OrderModule } from './order.module.js';

await bootService({ name: 'order', module: OrderModule });
