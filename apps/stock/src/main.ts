import { bootService } from '#libs/service-kit';
import { StockModule } from './stock.module.js';

await bootService({ name: 'stock', module: StockModule });
