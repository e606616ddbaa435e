import type { AlertView } from '#libs/contracts';
import type { Alert } from '#prisma/ops';

/** An alert as the HTTP API and the webhook tell it. */
export function toAlertView(alert: Alert): AlertView {
  return {
    id: alert.id,
    name: alert.name,
    status: alert.resolvedAt === null ? 'firing' : 'resolved',
    detail: alert.detail,
    count: alert.count,
    threshold: alert.threshold,
    firedAt: alert.firedAt.toISOString(),
    ...(alert.resolvedAt === null ? {} : { resolvedAt: alert.resolvedAt.toISOString() }),
  };
}
