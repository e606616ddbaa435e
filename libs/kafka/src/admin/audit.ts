import type { AuditEntry } from '#libs/messaging/port';
import type { KafkaClient } from '../client/kafka-client.js';
import type { TopicCatalog } from '../topic-catalog.js';
import { AUDIT_TOPIC } from '../topic-names.js';

const MAX_ENTRIES = 1_000;
const MAX_SUBJECT_CHARS = 512;
const READ_WAIT_MS = 1_000;
/** A year. */
const KEPT_MS = 365 * 24 * 3_600_000;

/** Who did what by hand, in a topic of its own. Written behind the act: one whose process dies in between is missing. */
export class Audit {
  constructor(
    private readonly client: KafkaClient,
    private readonly catalog: TopicCatalog,
    private readonly by: string,
  ) {}

  async add(act: Omit<AuditEntry, 'atMs' | 'untilMs' | 'by'>): Promise<void> {
    await this.catalog.require(AUDIT_TOPIC, { partitions: 1, settings: { 'retention.ms': String(KEPT_MS) } });
    const atMs = Date.now();
    const subject = act.subject?.slice(0, MAX_SUBJECT_CHARS);
    const entry = { ...act, ...(subject !== undefined && { subject }), atMs, untilMs: atMs, by: this.by };
    const value = Buffer.from(JSON.stringify(entry));
    await this.client.append([{ topic: AUDIT_TOPIC, partition: 0, key: null, value, headers: {} }]);
  }

  /** The newest, oldest first. */
  async list({ limit = MAX_ENTRIES, group }: { limit?: number; group?: string } = {}): Promise<AuditEntry[]> {
    const topics = [AUDIT_TOPIC];
    const end = (await this.client.offsets(topics, 'latest')).get(AUDIT_TOPIC)?.[0] ?? 0;
    const start = (await this.client.offsets(topics, 'earliest')).get(AUDIT_TOPIC)?.[0] ?? 0;
    const entries: AuditEntry[] = [];
    for (let offset = Math.max(start, end - MAX_ENTRIES); offset < end;) {
      const place = { topic: AUDIT_TOPIC, partition: 0 };
      const { records, nextOffset } = await this.client.read(place, offset, READ_WAIT_MS);
      if (nextOffset === offset) break;
      for (const { value } of records) entries.push(JSON.parse(value?.toString() ?? '{}') as AuditEntry);
      offset = nextOffset;
    }
    const asked = entries.filter((entry) => group === undefined || entry.group === group);
    return limit === 0 ? [] : asked.slice(-Math.min(limit, MAX_ENTRIES));
  }
}
