import { bootService } from '#libs/service-kit';
import { OpsModule } from './ops.module.js';

await bootService({ name: 'ops', module: OpsModule });
