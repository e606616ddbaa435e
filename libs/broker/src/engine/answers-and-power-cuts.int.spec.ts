import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type {
  BrokerAdmin,
  DeadLetter,
  GroupInfo,
  TimerInfo,
  TopicInfo,
  TransactionInfo,
} from '#libs/messaging/port';
import type { JournalFile } from '../journal/files.js';
import type { BrokerSession } from '../session.js';
import {
  BrokerSandbox,
  EngineClient,
  ManualClock,
  message,
  settled,
  stored,
} from '../testing/engine-client.js';
import { MemoryFiles } from '../testing/memory-files.js';
import type { EmbeddedBroker } from './embedded-broker.js';

/** A disk of which no sync ends while it is held: whoever answers meanwhile has not waited for it. */
class HeldDisk extends MemoryFiles {
  private held: Promise<void> = Promise.resolve();
  private release: () => void = () => undefined;

  hold(): void {
    this.held = new Promise((resolve) => (this.release = resolve));
  }

  goOn(): void {
    this.release();
  }

  override async open(path: string, mode: 'create' | 'read-write' | 'read'): Promise<JournalFile> {
    const file = await super.open(path, mode);
    const datasync = async (): Promise<void> => {
      await this.held;
      await file.datasync();
    };
    return { ...file, datasync };
  }
}

/** What is at hand for a row. */
type Scene = { client: EngineClient; session: BrokerSession; clock: ManualClock; broker: EmbeddedBroker };
/** A kind of answer: what is there before, the call, and what must hold behind a power cut that follows the answer. */
type Answer<Before> = {
  before: (scene: Scene) => Promise<Before> | Before;
  ask: (scene: Scene, before: Before) => Promise<unknown>;
  holds: (scene: Scene, before: Before) => Promise<void>;
};
/** What has a place in the table of kinds, and why no power cut can make its answer untrue. */
type Exempt = string;

const row = <Before>(answer: Answer<Before>): Answer<unknown> => answer as unknown as Answer<unknown>;
const admin = <Result>({ session }: Scene, method: string, ...args: unknown[]): Promise<Result> =>
  session.admin({ method, args }) as Promise<Result>;
const ids = async ({ broker }: Scene): Promise<string[]> => [...(await stored(broker)).values()].flat();
const inAnHour = ({ clock }: Scene) => ({ deliverAtMs: clock.now() + 3_600_000 });
const timers = (scene: Scene) => admin<TimerInfo>(scene, 'timers');
const letters = async (scene: Scene) =>
  (await admin<DeadLetter[]>(scene, 'deadLetters', 'g')).map(({ id }) => id);
const pending = async (scene: Scene) => (await admin<TransactionInfo>(scene, 'transactions')).pending;
const nothing = (): void => undefined;
/** Begins a call and does not wait for its answer. */
const begin = (call: Promise<unknown>): void => void call.catch(() => undefined);

const stamp = async ({ session }: Scene) =>
  session.openProducer({ name: 'shop', owner: 'one', renew: false });
const delayed = (scene: Scene) => scene.session.append([message('x', { id: 'x', ...inAnHour(scene) })]);
const prepared = ({ session }: Scene) => session.prepare('p', [message('x', { id: 'x' })]);

async function dead({ client, session }: Scene): Promise<void> {
  await client.attach();
  await session.append([message('x', { id: 'x' })]);
  const { deliveryId } = await client.take();
  await session.settle([{ deliveryId, verdict: 'dead-letter', reason: 'rejected', error: 'no' }]);
}

const SESSION: Record<
  Exclude<keyof BrokerSession, 'admin' | 'close'>,
  Record<string, Answer<unknown>> | Exempt
> = {
  append: {
    'a send': row({
      before: nothing,
      ask: ({ session }) => session.append([message('x', { id: 'x' })]),
      holds: async (scene) => expect(await ids(scene)).toEqual(['x']),
    }),
    'a send of a delayed message': row({
      before: nothing,
      ask: delayed,
      holds: async (scene) => expect((await timers(scene)).pending).toBe(1),
    }),
    'the repetition of a send that is on its way': row({
      before: nothing,
      ask: ({ session }) => {
        begin(session.append([message('x', { id: 'x' })]));
        return session.append([message('x', { id: 'x' })]);
      },
      holds: async (scene) => expect(await ids(scene)).toEqual(['x']),
    }),
    'a send under a sequence': row({
      before: stamp,
      ask: ({ session }, producer) =>
        session.append([message('x', { id: 'x' })], { ...producer, sequence: 1 }),
      holds: async (scene, producer) => {
        expect(await ids(scene)).toEqual(['x']);
        const again = await scene.session.append([message('x', { id: 'x' })], { ...producer, sequence: 1 });
        expect(again).toMatchObject([{ messageId: 'x', offset: 0 }]);
      },
    }),
    'the repetition of a sequence that is on its way': row({
      before: stamp,
      ask: ({ session }, producer) => {
        begin(session.append([message('x', { id: 'x' })], { ...producer, sequence: 1 }));
        return session.append([message('x', { id: 'x' })], { ...producer, sequence: 1 });
      },
      holds: async (scene) => expect(await ids(scene)).toEqual(['x']),
    }),
  },
  openProducer: {
    'a registration, which fences the one before': row({
      before: stamp,
      ask: ({ session }) => session.openProducer({ name: 'shop', owner: 'two', renew: false }),
      holds: async ({ session }, older) => {
        const late = session.append([message('x')], { ...older, sequence: 1 });
        await expect(late).rejects.toMatchObject({ code: 'PRODUCER_FENCED' });
      },
    }),
  },
  prepare: {
    'half messages': row({
      before: nothing,
      ask: prepared,
      holds: async (scene) => expect(await pending(scene)).toBe(1),
    }),
  },
  decide: {
    'a commit': row({
      before: prepared,
      ask: ({ session }, id) => session.decide(id, 'commit'),
      holds: async (scene, id) => {
        expect(await ids(scene)).toEqual(['x']);
        await expect(scene.session.decide(id, 'rollback')).rejects.toMatchObject({
          code: 'TRANSACTION_CONFLICT',
        });
      },
    }),
    'a rollback': row({
      before: prepared,
      ask: ({ session }, id) => session.decide(id, 'rollback'),
      holds: async (scene, id) => {
        await expect(scene.session.decide(id, 'commit')).rejects.toMatchObject({
          code: 'TRANSACTION_CONFLICT',
        });
        expect(await ids(scene)).toEqual([]);
      },
    }),
    'the repetition of a commit that is on its way': row({
      before: prepared,
      ask: async ({ session }, id) => {
        begin(session.decide(id, 'commit'));
        await settled(2);
        return session.decide(id, 'commit');
      },
      holds: async (scene) => expect(await ids(scene)).toEqual(['x']),
    }),
    'an answer that is no decision': row({
      before: async (scene) => {
        await scene.session.registerProducer('p');
        const id = await prepared(scene);
        scene.clock.advance(10_000);
        scene.broker.tick();
        await settled(3);
        expect(scene.client.checks).toHaveLength(1);
        return id;
      },
      ask: ({ session }, id) => session.decide(id, 'unknown'),
      // With one check that counts it is parked: an operator has to see it.
      holds: async (scene) =>
        expect((await admin<TransactionInfo>(scene, 'transactions')).parked).toMatchObject([{ checks: 1 }]),
    }),
  },
  recall: {
    'a recall': row({
      before: delayed,
      ask: ({ session }) => session.recall('x'),
      holds: async (scene) => {
        expect((await timers(scene)).pending).toBe(0);
        expect(await scene.session.recall('x')).toBe(true);
      },
    }),
    'the repetition of a recall that is on its way': row({
      before: delayed,
      ask: async ({ session }) => {
        begin(session.recall('x'));
        await settled(2);
        return session.recall('x');
      },
      holds: async (scene) => expect((await timers(scene)).pending).toBe(0),
    }),
  },
  reschedule: {
    'another time': row({
      before: delayed,
      ask: ({ session, clock }) => session.reschedule('x', clock.now() + 7_200_000),
      holds: async (scene) =>
        expect(await timers(scene)).toMatchObject({ pending: 1, nextDueAtMs: scene.clock.now() + 7_200_000 }),
    }),
  },
  attach: {
    'a new group, and where it begins': row({
      before: ({ session }) => session.append([message('x', { id: 'x' })]),
      ask: ({ client }) => client.attach({ startAt: 'latest' }),
      holds: async (scene) => {
        const [group] = await admin<GroupInfo[]>(scene, 'groups');
        expect(group).toMatchObject({ group: 'g', lag: 0 });
      },
    }),
    'what it takes, which a member that comes back does not undo': row({
      before: ({ client }) => client.attach({ topics: [{ topic: 't', tags: ['old'] }] }),
      ask: ({ client }) => client.attach({ topics: [{ topic: 't', tags: ['old', 'new'] }] }),
      holds: async (scene) => {
        await scene.client.attach({ topics: [{ topic: 't', tags: ['old'] }] });
        await scene.session.append([message('x', { tag: 'new' })]);
        await settled();
        expect(await admin<GroupInfo[]>(scene, 'groups')).toMatchObject([{ lag: 1 }]);
      },
    }),
  },
  settle: 'survives the death of the process; behind a power cut its message may come again',
  pull: 'hands over what comes again when it is not settled',
  pause: 'is of a connection that ends with the broker',
  detach: 'is of a connection that ends with the broker',
  registerProducer: 'is of a connection that ends with the broker',
};

const READS = 'changes nothing';
const OPERATOR: Record<keyof BrokerAdmin, Answer<unknown> | Exempt> = {
  createTopic: row({
    before: nothing,
    ask: (scene) => admin(scene, 'createTopic', 'made', { partitions: 7 }),
    holds: async (scene) => {
      const made = (await admin<TopicInfo[]>(scene, 'topics')).find(({ topic }) => topic === 'made');
      expect(made?.partitions).toHaveLength(7);
    },
  }),
  decideTransaction: row({
    before: prepared,
    ask: (scene, id) => admin(scene, 'decideTransaction', id, 'commit'),
    holds: async (scene) => expect(await ids(scene)).toEqual(['x']),
  }),
  resetGroup: row({
    before: async ({ client, session }) => {
      await client.attach();
      await session.append([message('x', { id: 'x' })]);
      await client.ack(await client.take());
      await settled();
    },
    ask: (scene) => admin(scene, 'resetGroup', 'g', 'earliest'),
    holds: async (scene) => expect(await admin<GroupInfo[]>(scene, 'groups')).toMatchObject([{ lag: 1 }]),
  }),
  redrive: row({
    before: dead,
    ask: (scene) => admin(scene, 'redrive', 'g', 'x'),
    holds: async (scene) => {
      expect(await letters(scene)).toEqual([]);
      expect(await ids(scene)).toEqual(expect.arrayContaining(['x', 'x']));
    },
  }),
  redriveAll: row({
    before: dead,
    ask: (scene) => admin(scene, 'redriveAll', 'g', {}, { ratePerSecond: 10_000 }),
    holds: async (scene) => expect(await letters(scene)).toEqual([]),
  }),
  editDeadLetter: row({
    before: dead,
    ask: (scene) => admin(scene, 'editDeadLetter', 'g', 'x', { body: Buffer.from('mended') }),
    holds: async (scene) => {
      const [letter] = await admin<DeadLetter[]>(scene, 'deadLetters', 'g');
      expect(Buffer.from(letter!.message.body).toString()).toBe('mended');
    },
  }),
  deleteGroup: row({
    before: async ({ client, session }) => session.detach(await client.attach()),
    ask: (scene) => admin(scene, 'deleteGroup', 'g'),
    holds: async (scene) => expect(await admin<GroupInfo[]>(scene, 'groups')).toEqual([]),
  }),
  deleteTopic: row({
    before: ({ session }) => session.append([message('x', { id: 'x' })]),
    ask: (scene) => admin(scene, 'deleteTopic', 't'),
    holds: async (scene) => expect(await admin<TopicInfo[]>(scene, 'topics')).toEqual([]),
  }),
  topics: READS,
  topicsPage: READS,
  groups: READS,
  groupsPage: READS,
  timers: READS,
  transactions: READS,
  storage: READS,
  read: READS,
  deadLetters: READS,
  trace: READS,
  traceByKey: READS,
  audit: READS,
  discard: row({
    before: dead,
    ask: (scene) => admin(scene, 'discard', 'g', 'x'),
    holds: async (scene) => {
      expect(await letters(scene)).toEqual([]);
      expect(await admin<unknown[]>(scene, 'audit')).toHaveLength(1);
    },
  }),
};

let clock: ManualClock;
let sandbox: BrokerSandbox;

beforeEach(async () => {
  clock = new ManualClock();
  const transactions = { maxChecks: 1 };
  sandbox = await BrokerSandbox.make({ clock, traceSteps: 0, transactions });
});
afterEach(() => sandbox.cleanUp());

async function sceneOn(files: MemoryFiles): Promise<Scene> {
  const broker = await sandbox.reopen({ files });
  const client = new EngineClient(broker);
  return { client, session: client.session, clock, broker };
}

async function isTrueBehindAPowerCut(answer: Answer<unknown>): Promise<void> {
  const files = new HeldDisk();
  const scene = await sceneOn(files);
  const before = await answer.before(scene);
  await settled();
  files.hold();
  let isAnswered = false;
  const asked = answer.ask(scene, before).then(() => (isAnswered = true));
  await settled(10);
  const early = isAnswered;
  files.goOn();
  await asked;
  const left = files.crash();
  await answer.holds(await sceneOn(left), before);
  expect(early).toBe(false);
}

/** Those that are not exempt. */
const kinds = <Row>(rows: Record<string, Row | Exempt>): [string, Row][] =>
  Object.entries(rows).filter((entry): entry is [string, Row] => typeof entry[1] !== 'string');

describe.each(kinds(SESSION))(
  'an answer to %s waits for the disk, and is true behind a power cut:',
  (_method, rows) => {
    it.each(kinds(rows))('%s', (_kind, answer) => isTrueBehindAPowerCut(answer));
  },
);

describe('an answer to an operator waits for the disk, and is true behind a power cut:', () => {
  it.each(kinds(OPERATOR))('%s', (_method, answer) => isTrueBehindAPowerCut(answer));
});

it('nothing is delivered that a power cut could take back', async () => {
  const files = new HeldDisk();
  const { client, session } = await sceneOn(files);
  await client.attach();
  files.hold();
  const sent = session.append([message('x')]);
  await settled();
  expect(client.delivered).toEqual([]);
  files.goOn();
  await sent;
  expect((await client.take()).attempt).toBe(1);
});
