import 'reflect-metadata';
import { bootService } from '#libs/service-kit';
import { GatewayModule } from './gateway.module.js';

await bootService({ name: 'gateway', module: GatewayModule });
