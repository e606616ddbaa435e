import { Controller, Get } from '@nestjs/common';
import type { AlertList } from '#libs/contracts';
import { Roles } from '#libs/service-kit';
import { AlertStore } from './alert-store.js';
import { toAlertView } from './alert-view.js';

/** Resolved alerts that are told. */
const MAX_RECENT = 100;

@Controller('api/ops/alerts')
@Roles('admin')
export class AlertsController {
  constructor(private readonly alerts: AlertStore) {}

  @Get()
  async list(): Promise<AlertList> {
    const [firing, recent] = await Promise.all([this.alerts.firing(), this.alerts.recent(MAX_RECENT)]);
    return { firing: firing.map(toAlertView), recent: recent.map(toAlertView) };
  }
}
