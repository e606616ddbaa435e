import type { DeadLetter, DeadLetterFilter, DeadLetterReason, RedriveOptions } from '#libs/messaging/port';
import { type CliOptions, type Command, header, knownGroup, number, operand, show } from './command.js';
import { UsageError } from './usage.js';

const DEFAULT_LETTERS = 100;
const DEFAULT_ACTS = 50;

export const DEAD_LETTER_COMMANDS: Readonly<Record<string, Command>> = {
  dlq: async (context) => {
    const { port, options, out } = context;
    const limit = number(options.limit, '--limit') ?? DEFAULT_LETTERS;
    const letters = await port.admin.deadLetters(await knownGroup(context), { limit });
    if (letters.length === 0 && options.json !== true) out('none');
    for (const letter of letters) out(letterLine(letter, options));
  },

  redrive: async (context) => {
    const { port, operands, options, out } = context;
    const group = await knownGroup(context);
    if (options.all !== true) {
      const redriven = await port.admin.redrive(group, operand(operands, 1, 'ID'));
      return out(redriven ? 'redriven' : 'no such dead letter');
    }
    if (options['dry-run'] === true) {
      const { matched } = await port.admin.redriveAll(group, letterFilter(options), { dryRun: true });
      return out(`${matched} would be redriven`);
    }
    let count = 0;
    let upToOffset: number | undefined;
    for (;;) {
      const filter = { ...letterFilter(options), ...(upToOffset !== undefined && { upToOffset }) };
      const report = await port.admin.redriveAll(group, filter, paceOf(options));
      count += report.redriven;
      upToOffset = report.upToOffset;
      // What cannot be given back would remain for ever.
      if (report.remaining === 0 || report.redriven === 0) break;
    }
    out(`${count} redriven`);
  },

  edit: async (context) => {
    const { port, operands, options, out } = context;
    const body = operands[2];
    if (body === undefined && options.header === undefined)
      throw new UsageError('BODY or --header is missing');
    const edited = await port.admin.editDeadLetter(await knownGroup(context), operand(operands, 1, 'ID'), {
      ...(body !== undefined && { body: Buffer.from(body) }),
      ...(options.header !== undefined && { headers: Object.fromEntries(options.header.map(header)) }),
    });
    out(edited ? 'edited' : 'no such dead letter');
  },

  discard: async (context) => {
    const { port, operands, out } = context;
    const discarded = await port.admin.discard(await knownGroup(context), operand(operands, 1, 'ID'));
    out(discarded ? 'discarded' : 'no such dead letter');
  },

  audit: async ({ port, options, out }) => {
    const limit = number(options.limit, '--limit') ?? DEFAULT_ACTS;
    const acts = await port.admin.audit({
      limit,
      ...(options.group !== undefined && { group: options.group }),
    });
    const rows = acts.map(({ atMs, by, action, group = '', subject = '', count }) => ({
      at: new Date(atMs).toISOString(),
      by,
      action,
      group,
      subject,
      count,
    }));
    show(rows, options, out);
  },
};

function letterLine(letter: DeadLetter, options: CliOptions): string {
  const { id, reason, error, attempts, deadAtMs, message } = letter;
  const body = Buffer.from(message.body).toString();
  if (options.json === true) return JSON.stringify({ ...letter, message: { ...message, body } });
  const at = new Date(deadAtMs).toISOString();
  return `${at} ${message.topic}.${message.tag} ${id} ${reason} after ${attempts.length}: ${error.split('\n')[0] ?? ''} ${body}`;
}

function letterFilter({ reason, topic, tag }: CliOptions): DeadLetterFilter {
  return {
    // Another reason than there is is the broker's to refuse.
    ...(reason !== undefined && { reason: reason as DeadLetterReason }),
    ...(topic !== undefined && { topic }),
    ...(tag !== undefined && { tag }),
  };
}

function paceOf({ rate }: CliOptions): RedriveOptions {
  const ratePerSecond = number(rate, '--rate');
  return ratePerSecond === undefined ? {} : { ratePerSecond };
}
