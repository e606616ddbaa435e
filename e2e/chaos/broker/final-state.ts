import { type BrokerPort, type StoredMessage, deadLetterTopic } from '#libs/messaging';
import type { FinalState, LogRow } from './checker/history.js';
import { GROUPS, TOPICS } from './topics.js';
import { pause } from './workers/worker.js';

const POLL_MS = 250;
/** Seen quiet this often in a row, so that nothing is between two states. */
const QUIET_POLLS = 2;
const ROWS_PER_READ = 1_000;

/** Waits until nothing is on its way any more; answers what still is when the time is over. */
export async function untilQuiet({ admin }: BrokerPort, withinMs: number): Promise<string[]> {
  const deadline = performance.now() + withinMs;
  let open: string[] = [];
  for (let quiet = 0; quiet < QUIET_POLLS;) {
    open = await openWork(admin);
    quiet = open.length === 0 ? quiet + 1 : 0;
    if (performance.now() > deadline) return open;
    await pause(POLL_MS);
  }
  return [];
}

async function openWork(admin: BrokerPort['admin']): Promise<string[]> {
  const [groups, timers, transactions] = await Promise.all([
    admin.groups(),
    admin.timers(),
    admin.transactions(),
  ]);
  const open: string[] = [];
  for (const { name } of GROUPS) {
    const group = groups.find((each) => each.group === name);
    if (group === undefined) open.push(`group ${name} is not there`);
    else if (group.lag + group.inFlight + group.retrying > 0)
      open.push(
        `group ${name}: lag ${group.lag}, in flight ${group.inFlight}, waiting to be retried ${group.retrying}, ${group.members.length} members`,
      );
  }
  if (timers.pending > 0) open.push(`${timers.pending} timers are pending, ${timers.pastDue} past due`);
  const undecided = transactions.pending + transactions.parked.length;
  if (undecided > 0)
    open.push(`${undecided} transactions are undecided, ${transactions.parked.length} parked`);
  return open;
}

/** Reads everything that is stored. */
export async function readFinalState(
  { admin }: BrokerPort,
  leftovers: readonly string[],
): Promise<FinalState> {
  const log: LogRow[] = [];
  for (const { name } of TOPICS) log.push(...(await readTopic(admin, name)));
  const deadLetters: { group: string; id: string }[] = [];
  for (const { name: group } of GROUPS)
    for (const id of await deadLetterIds(admin, group)) deadLetters.push({ group, id });
  return { groups: GROUPS, log, deadLetters, leftovers };
}

async function readTopic(admin: BrokerPort['admin'], topic: string): Promise<LogRow[]> {
  const rows: LogRow[] = [];
  const info = (await admin.topics()).find((each) => each.topic === topic);
  for (const { partition, startOffset } of info?.partitions ?? []) {
    for await (const { id, offset, storedAtMs } of messagesOf(admin, topic, partition, startOffset))
      rows.push({ topic, partition, offset, id, storedAtMs });
  }
  return rows;
}

async function* messagesOf(
  admin: BrokerPort['admin'],
  topic: string,
  partition: number,
  startOffset: number,
): AsyncGenerator<StoredMessage> {
  for (let offset = startOffset; ;) {
    const page = await admin.read(topic, partition, offset, ROWS_PER_READ);
    yield* page;
    const last = page.at(-1);
    if (last === undefined) return;
    offset = last.offset + 1;
  }
}

/** From the topic itself, where a dead letter that was written twice shows twice. */
async function deadLetterIds(admin: BrokerPort['admin'], group: string): Promise<string[]> {
  const topic = deadLetterTopic(group);
  const ids: string[] = [];
  if (!(await admin.topics()).some((info) => info.topic === topic)) return ids;
  for await (const { id } of messagesOf(admin, topic, 0, 0)) ids.push(id);
  return ids;
}
