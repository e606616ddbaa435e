import { type DeadLetterEdit, MessagingError, checkBody, checkHeaders } from '#libs/messaging/port';
import type { BrokerHost } from '../host.js';
import { EntryType } from '../journal/format.js';
import { encodeProvenance } from '../topics/provenance.js';
import { maxRecordBytes, writeRecord } from '../topics/write-record.js';
import type { Topics } from '../topics/topics.js';
import { Actor } from '../trace/actors.js';
import type { DeadLetters } from './dead-letters.js';
import { readLetter } from './redrives.js';

/** See `BrokerAdmin.editDeadLetter`; the oldest, should several messages of that id be dead. */
export async function editLetter(
  host: BrokerHost,
  { deadLetters, topics }: { readonly deadLetters: DeadLetters; readonly topics: Topics },
  group: string,
  id: string,
  edit: DeadLetterEdit,
  by: string,
): Promise<boolean> {
  checkEdit(edit);
  for (;;) {
    const letter = deadLetters.find(group, id);
    if (!letter) return false;
    const { offset, position } = letter;
    const { message, provenance } = await readLetter(host, group, letter);
    if (deadLetters.find(group, id, offset) !== letter) continue;
    // Somebody else edited it while it was read, or retention wrote it anew.
    if (letter.position !== position) continue;
    const encodedProvenance = encodeProvenance(provenance);
    const fields = { ...message, ...edit, topicId: topics.require(message.topic).id };
    const bytes = maxRecordBytes(fields) + encodedProvenance.byteLength;
    host.space.admit(bytes);
    const changed = Object.keys(edit).sort().join(', ');
    const audit = {
      atMs: host.now(),
      by,
      action: 'edit-dead-letter',
      group,
      subject: `${id} ${changed}`,
    } as const;
    host.commit(EntryType.LETTER_EDITED, { group, offset, audit }, bytes, (out) => {
      writeRecord(out, { ...fields, deliverAtMs: 0, ttlMs: 0 }, encodedProvenance);
    });
    host.trace.add(id, 'edited', audit.atMs, new Actor(group), `${changed} by ${by}`);
    await host.journal.flush('durable');
    return true;
  }
}

function checkEdit({ body, headers }: DeadLetterEdit): void {
  if (body === undefined && headers === undefined)
    throw new MessagingError('INVALID_ARGUMENT', 'an edit has a body, headers or both');
  if (body !== undefined) checkBody(body);
  if (headers !== undefined) checkHeaders(headers);
}
