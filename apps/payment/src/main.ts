import { bootService } from '#libs/service-kit';
import { PaymentModule } from './payment.module.js';

await bootService({ name: 'payment', module: PaymentModule });
