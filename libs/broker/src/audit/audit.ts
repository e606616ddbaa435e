import type { AuditAction, AuditEntry } from '#libs/messaging/port';

/** Who an entry of the journal is owed to; part of its facts. Entries under the same `run` are told as one act. */
export type AuditNote = {
  atMs: number;
  by: string;
  action: AuditAction;
  group?: string;
  subject?: string;
  /** Default 1. */
  count?: number;
  run?: string;
};

/** Who an entry is owed to, where an operator may ask. */
export type Audited = { audit?: AuditNote };

/** Acts that are remembered; every segment begins with them, so that they outlive the segment that they were recorded in. */
export const MAX_AUDIT_ENTRIES = 1_000;
const MAX_SUBJECT_CHARS = 512;

/** What the broker signs its own acts with. */
export const BROKER = 'broker';

type Act = AuditEntry & { run?: string };

/** What was done to the broker by hand, and by itself with dead letters; folded from the notes in the journal's entries. */
export class Audit {
  private acts: Act[] = [];

  note({ count = 1, subject, ...note }: AuditNote): void {
    const known = note.run === undefined ? undefined : this.acts.findLast(({ run }) => run === note.run);
    if (known) {
      known.count += count;
      known.untilMs = note.atMs;
      return;
    }
    const about = subject === undefined ? {} : { subject: subject.slice(0, MAX_SUBJECT_CHARS) };
    this.acts.push({ ...note, ...about, untilMs: note.atMs, count });
    if (this.acts.length > MAX_AUDIT_ENTRIES) this.acts.shift();
  }

  /** The newest `limit`, oldest first. */
  last(limit: number, group?: string): AuditEntry[] {
    const acts = group === undefined ? this.acts : this.acts.filter((act) => act.group === group);
    return acts.slice(Math.max(0, acts.length - limit)).map(({ run: _, ...entry }) => entry);
  }

  /** For the snapshot that a segment begins with. */
  facts(): readonly Act[] {
    return this.acts;
  }

  restore(acts: readonly Act[]): void {
    this.acts = acts.map((act) => ({ ...act }));
  }
}
