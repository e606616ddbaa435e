import type { StorageInfo } from '#libs/messaging';

/** What one group has left undone. */
export type GroupLoad = {
  group: string;
  deadLetters: number;
  /** Deliveries that were settled as handled since the broker started. */
  handled: number;
};

export type AlertThresholds = {
  /** Fires at this many dead letters. */
  count: number;
  /** Fires at this share of dead letters among all settled deliveries, 0 to 1; absent: never. */
  ratio: number | undefined;
};

export type Breach = { name: string; detail: string; count: number; threshold: number };

export type AlertDecision = { firing: Breach[]; resolved: string[] };

const PREFIX = 'dead-letters:';

export const deadLetterAlertName = (group: string): string => PREFIX + group;

/**
 * What should fire and which of the alerts that fire now should stop.
 *
 * `decideAlerts([{group: 'stock.confirm', deadLetters: 3, …}], ['dead-letters:order.place'], {count: 1})`
 * → fires `dead-letters:stock.confirm`, resolves `dead-letters:order.place`.
 */
export function decideAlerts(
  loads: readonly GroupLoad[],
  firingNames: readonly string[],
  thresholds: AlertThresholds,
): AlertDecision {
  const firing = loads.flatMap((load) => breachOf(load, thresholds) ?? []);
  return { firing, resolved: resolvedOf(PREFIX, firing, firingNames) };
}

/** Those of that prefix that fire and no longer should. */
export function resolvedOf(
  prefix: string,
  firing: readonly Breach[],
  firingNames: readonly string[],
): string[] {
  const names = new Set(firing.map(({ name }) => name));
  return firingNames.filter((name) => name.startsWith(prefix) && !names.has(name));
}

function breachOf(
  { group, deadLetters, handled }: GroupLoad,
  thresholds: AlertThresholds,
): Breach | undefined {
  const breach = { name: deadLetterAlertName(group), count: deadLetters, threshold: thresholds.count };
  if (deadLetters >= thresholds.count) {
    return { ...breach, detail: `${group} has ${deadLetters} dead letters (threshold ${thresholds.count})` };
  }
  const share = deadLetters === 0 ? 0 : deadLetters / (deadLetters + handled);
  if (thresholds.ratio !== undefined && share > 0 && share >= thresholds.ratio) {
    const percent = (part: number) => `${(part * 100).toFixed(1)} %`;
    return {
      ...breach,
      detail: `${percent(share)} of what ${group} settled are dead letters (threshold ${percent(thresholds.ratio)})`,
    };
  }
  return undefined;
}

/** The broker refuses sends because its disk is nearly full. It ends by itself, once there is space. */
export const STORAGE_ALERT = 'broker-storage';

export function breachOfStorage({ isShort, freeBytes, reserveBytes }: StorageInfo): Breach[] {
  if (!isShort) return [];
  const free = freeBytes === undefined ? '' : ` (${freeBytes} bytes free)`;
  const detail = `the broker's disk is nearly full${free}: sends are refused, consumers drain; free ${2 * reserveBytes} bytes`;
  return [{ name: STORAGE_ALERT, detail, count: 1, threshold: 1 }];
}

export const ANOMALY_PREFIX = 'payment-anomaly:';

/** Something odd about a payment, once per event of the provider. */
export type Anomaly = { kind: string; eventId: string; paymentId?: string | undefined };

export const isAnomaly = ({ name }: { name: string }): boolean => name.startsWith(ANOMALY_PREFIX);

/** `payment-anomaly:dispute:…` → `payment-anomaly:dispute`: for a metric, which must not have a label for each event. */
export const kindOfAnomaly = (name: string): string => name.split(':', 2).join(':');

/** One is one too many. */
export function breachOfAnomaly({ kind, eventId, paymentId }: Anomaly): Breach {
  const subject = paymentId === undefined ? 'a payment' : `payment ${paymentId}`;
  return {
    name: `${ANOMALY_PREFIX}${kind}:${eventId}`,
    detail: `the provider told of ${subject}: ${kind} (event ${eventId}, table payment.webhook_anomalies)`,
    count: 1,
    threshold: 1,
  };
}
