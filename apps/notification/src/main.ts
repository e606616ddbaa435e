import 'reflect-metadata';
import { bootService } from '#libs/service-kit';
import { NotificationModule } from './notification.module.js';

await bootService({ name: 'notification', module: NotificationModule });
