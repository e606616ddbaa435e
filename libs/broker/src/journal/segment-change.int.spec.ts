import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import {
  BrokerSandbox,
  EngineClient,
  ManualClock,
  message,
  stored,
  textOf,
  until,
} from '../testing/engine-client.js';
import { MemoryFiles } from '../testing/memory-files.js';
import type { JournalFile } from './files.js';

/** Holds up the first segment that is made, as a busy disk does. */
class SlowToCreate extends MemoryFiles {
  private release: (() => void) | undefined;
  private reached!: () => void;
  /** Resolves when the file is being made. */
  readonly waiting = new Promise<void>((resolve) => (this.reached = resolve));

  override async open(path: string, mode: 'create' | 'read-write' | 'read'): Promise<JournalFile> {
    if (mode === 'create' && path.endsWith('.log') && this.release === undefined) {
      await new Promise<void>((resolve) => {
        this.release = resolve;
        this.reached();
      });
    }
    return super.open(path, mode);
  }

  goOn(): void {
    this.release?.();
  }
}

let sandbox: BrokerSandbox;
beforeEach(async () => {
  sandbox = await BrokerSandbox.make({ segmentBytes: 4 * 1024 * 1024 });
});
afterEach(() => sandbox.cleanUp());

describe('a change of segments', () => {
  it('writes everything that is sent while a commit over two segments is under way', async () => {
    const files = new SlowToCreate();
    const { session } = new EngineClient(await sandbox.open({ files }));
    const sent: string[] = [];
    const body = 'x'.repeat(100_000);
    const send = (count: number): Promise<unknown> =>
      Promise.all(
        Array.from({ length: count }, () => {
          const id = `m${sent.length}`;
          sent.push(id);
          return session.append([message(body, { id, key: 'k' })]);
        }),
      );
    // One commit, which ends a little into the second segment, in the middle of a block of it …
    const first = send(45);
    await files.waiting;
    // … which these fill up, and blocks behind it, before that commit comes to the second segment.
    const second = send(30);
    files.goOn();
    await Promise.all([first, second]);
    const broker = await sandbox.reopen({ files: files.kill() });
    expect([...(await stored(broker)).values()].flat().sort()).toEqual(sent.sort());
  });

  it('has on disk what the file before holds when it confirms something in the next one', async () => {
    const files = new MemoryFiles();
    const { session } = new EngineClient(await sandbox.open({ files }));
    // All in one commit, over both.
    const sent = Array.from({ length: 45 }, (_, n) => `m${n}`);
    const body = 'x'.repeat(100_000);
    await Promise.all(sent.map((id) => session.append([message(body, { id, key: 'k' })])));
    const broker = await sandbox.reopen({ files: files.crash() });
    expect([...(await stored(broker)).values()].flat()).toEqual(sent);
  });

  it('waits while the snapshot is longer than a string can be, and loses nothing to retention', async () => {
    const files = new MemoryFiles();
    const problems: string[] = [];
    const onProblem = ({ message: text }: { message: string }): void => void problems.push(text);
    const clock = new ManualClock();
    const options = { files, clock, onProblem, segmentBytes: 64 * 1024, retention: { maxBytes: 1 } };
    const broker = await sandbox.open(options);
    const client = new EngineClient(broker);
    const segments = (): string[] => files.paths().filter((path) => path.endsWith('.log'));
    let sent = 0;
    const send = async (count: number): Promise<void> => {
      for (let n = 0; n < count; n++)
        await client.session.append([message('x'.repeat(10_000), { id: `m${sent++}` })]);
    };
    await client.attach();
    await send(1);
    const { stringify } = JSON;
    const limited = jest.spyOn(JSON, 'stringify').mockImplementation((value: unknown) => {
      if (typeof value === 'object' && value && 'topics' in value)
        throw new RangeError('Invalid string length');
      return stringify(value);
    });
    await send(20);
    limited.mockRestore();
    expect(segments()).toHaveLength(1);
    expect(problems).toContainEqual(expect.stringContaining('no new segment'));
    await send(20);
    for (let n = 0; n < sent; n++) await client.ack(await client.take());
    clock.advance(3_600_000);
    broker.tick();
    await until(() => !segments().some((path) => path.endsWith('/00000000000000000000.log')));
    const again = new EngineClient(await sandbox.reopen(options));
    await again.attach();
    await again.session.append([message('last')]);
    expect(textOf(await again.take())).toBe('last');
  });
});
