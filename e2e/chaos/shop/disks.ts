import { spawnSync } from 'node:child_process';
import { closeSync, mkdirSync, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';

/** Who keeps a disk of its own under the shop's directory, and its size: small enough to be filled in a moment. */
const DISK_MIB = { broker: 192, redis: 96, postgres: 1_536 } as const;
export type DiskOwner = keyof typeof DISK_MIB;
export const DISK_OWNERS = Object.keys(DISK_MIB) as DiskOwner[];

const BALLAST = 'ballast';
const CHUNK = Buffer.alloc(1024 * 1024);

/** Small disks in memory, where the system lets us mount them. */
export class Disks {
  private constructor(
    private readonly dir: string,
    private readonly mounted: readonly DiskOwner[],
    /** Why disks cannot be filled here; undefined when they can. */
    readonly impossible: string | undefined,
  ) {}

  static mount(dir: string): Disks {
    const mounted: DiskOwner[] = [];
    for (const owner of DISK_OWNERS) {
      const path = join(dir, owner);
      mkdirSync(path, { recursive: true });
      const size = `size=${DISK_MIB[owner]}m`;
      const { status, stderr, error } = spawnSync('mount', ['-t', 'tmpfs', '-o', size, 'tmpfs', path], {
        encoding: 'utf8',
      });
      if (status !== 0) {
        return new Disks(dir, mounted, (error?.message ?? stderr).trim().split('\n')[0]);
      }
      mounted.push(owner);
    }
    return new Disks(dir, mounted, undefined);
  }

  /** Leaves not a byte. */
  fill(owner: DiskOwner): void {
    const file = openSync(join(this.dir, owner, BALLAST), 'a');
    try {
      for (let size: number = CHUNK.length; size > 0;) {
        try {
          writeSync(file, CHUNK, 0, size);
        } catch {
          size = Math.floor(size / 2); // full for this much
        }
      }
    } finally {
      closeSync(file);
    }
  }

  free(owner: DiskOwner): void {
    rmSync(join(this.dir, owner, BALLAST), { force: true });
  }

  unmount(): void {
    for (const owner of this.mounted) spawnSync('umount', ['-l', join(this.dir, owner)]);
  }
}
