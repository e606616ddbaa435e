import { Counter, Gauge, type Registry } from 'prom-client';
import type { Settlement } from '#libs/messaging';
import type { ServiceDatabase } from '../database/database.js';

/** Enough to know that it is far too many; counting all of a million would be a load of its own. */
const MAX_COUNTED = 10_000;

const LAG = `
  SELECT coalesce((SELECT greatest(extract(epoch FROM clock_timestamp() - created_at), 0)
                   FROM outbox WHERE dead_at IS NULL ORDER BY id LIMIT 1), 0)::float8 AS "lagSeconds",
         (SELECT count(*) FROM (SELECT FROM outbox WHERE dead_at IS NULL LIMIT ${MAX_COUNTED}) AS l)::int AS waiting,
         (SELECT count(*) FROM (SELECT FROM outbox WHERE dead_at IS NOT NULL LIMIT ${MAX_COUNTED}) AS d)::int AS dead`;

/** How far the outbox is behind, asked of the table when somebody looks: a relay that stands still would not tell. */
export class OutboxMetrics {
  private readonly sent: Counter;
  private readonly refused: Counter;

  constructor(registry: Registry, database: Pick<ServiceDatabase, '$queryRawUnsafe'>) {
    const gauge = (name: string, help: string): Gauge => new Gauge({ name, help, registers: [registry] });
    const registers = [registry];
    this.sent = new Counter({ name: 'outbox_sent_total', help: 'Messages that were sent.', registers });
    this.refused = new Counter({
      name: 'outbox_refused_total',
      help: 'Refusals by the broker, of messages that wait for another try or were given up.',
      registers,
    });
    const waiting = gauge('outbox_waiting', `Messages that are not sent yet, counted up to ${MAX_COUNTED}.`);
    const dead = gauge('outbox_dead_letters', 'Messages that were given up, and wait for an operator.');
    new Gauge({
      name: 'outbox_lag_seconds',
      help: 'Age of the oldest message that is not sent yet; 0 when there is none.',
      registers,
      async collect() {
        const rows = await database
          .$queryRawUnsafe<{ lagSeconds: number; waiting: number; dead: number }[]>(LAG)
          // The database is away, which readiness tells: the last values stay.
          .then(undefined, () => []);
        for (const row of rows) {
          this.set(row.lagSeconds);
          waiting.set(row.waiting);
          dead.set(row.dead);
        }
      },
    });
  }

  settled({ sent, refused }: Settlement): void {
    this.sent.inc(sent.length);
    this.refused.inc(refused.length);
  }
}
