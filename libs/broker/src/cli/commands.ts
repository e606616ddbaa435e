import { createInterface } from 'node:readline';
import type { OutgoingMessage, ResetTarget, StoredMessage, TraceEvent } from '#libs/messaging/port';
import { type CliOptions, type Command, header, knownGroup, number, operand, show } from './command.js';
import { DEAD_LETTER_COMMANDS } from './dead-letter-commands.js';
import { UsageError } from './usage.js';

/** Lines of the standard input that are sent in one call. */
const PRODUCE_BATCH = 500;
const DEFAULT_PEEK = 10;

export const COMMANDS: Readonly<Record<string, Command>> = {
  topics: async ({ port, options, out }) => {
    const topics = await port.admin.topics();
    const rows = topics.map(({ topic, partitions }) => ({
      topic,
      partitions: partitions.length,
      messages: partitions.reduce((sum, { startOffset, endOffset }) => sum + endOffset - startOffset, 0),
      stored: partitions.reduce((sum, { endOffset }) => sum + endOffset, 0),
    }));
    show(rows, options, out);
  },

  groups: async ({ port, options, out }) => {
    const groups = await port.admin.groups();
    const rows = groups.map(({ group, mode, members, lag, inFlight, retrying, deadLetters, acked }) => ({
      group,
      mode,
      members: members.map(({ client }) => client).join(' ') || '-',
      lag,
      'in flight': inFlight,
      retrying,
      'dead letters': deadLetters,
      acked,
    }));
    show(rows, options, out);
  },

  lag: async (context) => {
    const { port, operands, options, out } = context;
    const group = operands.length === 0 ? undefined : await knownGroup(context);
    const groups = (await port.admin.groups()).filter((info) => group === undefined || info.group === group);
    const rows = groups.flatMap(({ group: name, positions }) =>
      positions.map(({ topic, partition, committedOffset, endOffset }) => ({
        group: name,
        topic,
        partition,
        committed: committedOffset,
        end: endOffset,
        lag: endOffset - committedOffset,
      })),
    );
    show(rows, options, out);
  },

  peek: async ({ port, operands, options, out }) => {
    const topic = operand(operands, 0, 'TOPIC');
    const info = (await port.admin.topics()).find((each) => each.topic === topic);
    // An unknown topic is the broker's to refuse.
    const partitions = info?.partitions ?? [{ partition: 0, startOffset: 0, endOffset: 0 }];
    const limit = number(options.limit, '--limit') ?? DEFAULT_PEEK;
    const only = number(options.partition, '--partition');
    for (const { partition, startOffset, endOffset } of partitions) {
      if (only !== undefined && only !== partition) continue;
      const offset = number(options.offset, '--offset') ?? Math.max(startOffset, endOffset - limit);
      for (const message of await port.admin.read(topic, partition, offset, limit))
        out(line(message, options));
    }
  },

  tail: async ({ port, operands, options, out, interrupted }) => {
    const topic = operand(operands, 0, 'TOPIC');
    const tags = options.tag === undefined ? [] : [options.tag];
    const consumer = await port.subscribe(
      { group: `cli.tail.${process.pid}`, topics: [{ topic, tags }], mode: 'broadcast', startAt: 'latest' },
      async (batch) => {
        for (const delivery of batch) out(line(delivery.message, options));
        await Promise.all(batch.map((delivery) => delivery.ack()));
      },
    );
    await interrupted;
    await consumer.close(0);
  },

  produce: async ({ port, operands, options, out, input }) => {
    const message = {
      topic: operand(operands, 0, 'TOPIC'),
      tag: operand(operands, 1, 'TAG'),
      ...outgoing(options),
    };
    const send = async (texts: readonly string[]): Promise<void> => {
      const receipts = await port.send(texts.map((text) => ({ ...message, body: Buffer.from(text) })));
      for (const { messageId, partition, offset, duplicate } of receipts) {
        const where = partition < 0 ? 'delayed' : `${partition}:${offset}`;
        out(`${messageId} ${where}${duplicate ? ' duplicate' : ''}`);
      }
    };
    const body = operands[2];
    if (body !== undefined) return send([body]);
    let batch: string[] = [];
    for await (const text of createInterface({ input })) {
      batch.push(text);
      if (batch.length < PRODUCE_BATCH) continue;
      await send(batch);
      batch = [];
    }
    if (batch.length > 0) await send(batch);
  },

  recall: async ({ port, operands, options, out }) => {
    const recalled = await port.recall(operand(operands, 0, 'TIMER'), options.topic);
    out(
      recalled ? 'recalled: it will never be delivered' : 'nothing to recall: unknown, or delivered already',
    );
  },

  reschedule: async ({ port, operands, options, out }) => {
    const [timer, to] = [operand(operands, 0, 'TIMER'), operand(operands, 1, 'TIME')];
    const atMs = timeOf(to);
    if (atMs === undefined) throw new UsageError(`${to} is no time such as 2026-11-21T08:00:00Z`);
    const moved = await port.reschedule(timer, atMs, options.topic);
    out(
      moved
        ? `due at ${new Date(atMs).toISOString()}`
        : 'nothing waits: unknown, recalled or delivered already',
    );
  },

  ...DEAD_LETTER_COMMANDS,

  reset: async ({ port, operands, out }) => {
    const [group, to] = [operand(operands, 0, 'GROUP'), operand(operands, 1, 'TO')];
    await port.admin.resetGroup(group, resetTarget(to));
    out(`${group} goes on at ${to}`);
  },

  'delete-group': async ({ port, operands, out }) => {
    const group = operand(operands, 0, 'GROUP');
    await port.admin.deleteGroup(group);
    out(`${group} is deleted`);
  },

  'delete-topic': async ({ port, operands, out }) => {
    const topic = operand(operands, 0, 'TOPIC');
    await port.admin.deleteTopic(topic);
    out(`${topic} is deleted`);
  },

  timers: async ({ port, options, out }) => {
    const { pending, pastDue, nextDueAtMs } = await port.admin.timers();
    const next = nextDueAtMs === undefined ? '-' : new Date(nextDueAtMs).toISOString();
    show([{ pending, 'past due': pastDue, next }], options, out);
  },

  transactions: async ({ port, options, out }) => {
    const { pending, parked } = await port.admin.transactions();
    out(
      options.json === true
        ? JSON.stringify({ pending, parked: parked.length })
        : `${pending} pending, ${parked.length} parked`,
    );
    const rows = parked.map(({ transactionId, producerGroup, preparedAtMs, checks }) => ({
      id: transactionId,
      'producer group': producerGroup,
      prepared: new Date(preparedAtMs).toISOString(),
      checks,
    }));
    if (rows.length > 0) show(rows, options, out);
  },

  decide: async ({ port, operands, out }) => {
    const [id, decision] = [operand(operands, 0, 'ID'), operand(operands, 1, 'DECISION')];
    if (decision !== 'commit' && decision !== 'rollback') {
      throw new UsageError(`${decision} is neither commit nor rollback`);
    }
    await port.admin.decideTransaction(id, decision);
    out(decision === 'commit' ? 'committed' : 'rolled back');
  },

  trace: async ({ port, operands, options, out }) => {
    if (options.key === undefined) {
      const id = operand(operands, 0, 'ID');
      return show(stepRows(await port.admin.trace(id)), options, out);
    }
    const traces = await port.admin.traceByKey(options.key, options.topic);
    const rows = traces.flatMap(({ messageId, topic, partition, offset, events }) => {
      const message = `${topic} ${partition}:${offset} ${messageId}`;
      // What was forgotten leaves the message, which is stored.
      if (events.length === 0)
        return [{ message, at: '-', step: '-', group: '', consumer: '', node: '', detail: '' }];
      return stepRows(events).map((row) => ({ message, ...row }));
    });
    show(rows, options, out);
  },
};

const stepRows = (events: readonly TraceEvent[]) =>
  events.map(({ atMs, step, group = '', consumer = '', node = '', detail = '' }) => ({
    at: new Date(atMs).toISOString(),
    step,
    group,
    consumer,
    node,
    detail,
  }));

function line(message: StoredMessage, { json }: CliOptions): string {
  const { topic, tag, partition, offset, key, id, storedAtMs, headers } = message;
  const body = Buffer.from(message.body).toString();
  if (json === true)
    return JSON.stringify({ topic, tag, partition, offset, key, id, storedAtMs, headers, body });
  return `${new Date(storedAtMs).toISOString()} ${topic}.${tag} ${partition}:${offset} ${key ?? '-'} ${id} ${body}`;
}

function outgoing(options: CliOptions): Omit<OutgoingMessage, 'topic' | 'tag' | 'body'> {
  const delayMs = number(options.delay, '--delay');
  const ttlMs = number(options.ttl, '--ttl');
  const headers = Object.fromEntries((options.header ?? []).map(header));
  return {
    headers,
    ...(options.key === undefined ? {} : { key: options.key }),
    ...(delayMs === undefined ? {} : { deliverAtMs: Date.now() + delayMs }),
    ...(ttlMs === undefined ? {} : { ttlMs }),
    ...(options.timer === undefined ? {} : { timerId: options.timer }),
  };
}

/** A day, which begins by UTC, or a time of it with its offset from UTC. */
const ISO_TIME = /^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:\d{2}))?$/;

export function resetTarget(text: string): ResetTarget {
  if (text === 'earliest' || text === 'latest') return text;
  const place = /^(\d+):(\d+)$/.exec(text);
  if (place) return { partition: Number(place[1]), offset: Number(place[2]) };
  const timestampMs = timeOf(text);
  if (timestampMs === undefined) {
    throw new UsageError(
      `${text} is neither earliest, latest, PARTITION:OFFSET nor a time such as 2026-11-21T08:00:00Z`,
    );
  }
  return { timestampMs };
}

/** Of itself `Date.parse` takes any number for a year, and what it does not know for local time. */
function timeOf(text: string): number | undefined {
  const timeMs = ISO_TIME.test(text) ? Date.parse(text) : NaN;
  return Number.isNaN(timeMs) ? undefined : timeMs;
}
