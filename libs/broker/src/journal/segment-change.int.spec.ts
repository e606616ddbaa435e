import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { BrokerSandbox, EngineClient, message, stored } from '../testing/engine-client.js';
import { MemoryFiles } from '../testing/memory-files.js';
import type { JournalFile } from './files.js';

/** Holds up the first file that is made, as a busy disk does. */
class SlowToCreate extends MemoryFiles {
  private release: (() => void) | undefined;
  private reached!: () => void;
  /** Resolves when the file is being made. */
  readonly waiting = new Promise<void>((resolve) => (this.reached = resolve));

  override async open(path: string, mode: 'create' | 'read-write' | 'read'): Promise<JournalFile> {
    if (mode === 'create' && this.release === undefined) {
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
});
