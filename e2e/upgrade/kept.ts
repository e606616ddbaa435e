import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import pg from 'pg';
import { repositoryRoot } from '../../libs/service-kit/src/testing/repository-root.js';

/** Of the shops whose data is kept, and of those that open it. */
export const JWT_SECRET = 'upgrade-secret-that-is-long-enough-for-hs256';

export type KeptOrder = { buyer: string; orderNo: string };

/** What a kept data folder holds: one order in each state in which a version may leave one. */
export type KeptOrders = {
  ticketTypeId: string;
  paid: KeptOrder;
  cancelled: KeptOrder;
  /** Unpaid, and its payment has been begun at `checkoutPath`. */
  open: KeptOrder;
  checkoutPath: string;
  /** Its payment time ran out while no shop was running. */
  due: KeptOrder;
};

const FOLDER = join(repositoryRoot(), 'e2e', 'upgrade');

export const keptVersions = (): string[] =>
  readdirSync(FOLDER, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name);

export const keptPath = (version: string, name: string): string => join(FOLDER, version, name);

export const keptOrders = (version: string): KeptOrders =>
  JSON.parse(readFileSync(keptPath(version, 'orders.json'), 'utf8')) as KeptOrders;

/** Fills an empty database with what the version's shop had in its own. */
export async function restoreDatabase(version: string, adminUrl: string): Promise<void> {
  const client = new pg.Client({ connectionString: adminUrl });
  await client.connect();
  try {
    await client.query(gunzipSync(readFileSync(keptPath(version, 'postgres.sql.gz'))).toString('utf8'));
  } finally {
    await client.end();
  }
}

export function packDirectory(directory: string, archive: string): void {
  tar('-czf', archive, '-C', directory, '--exclude', './lock', '.');
}

export function unpackDirectory(archive: string, directory: string): void {
  tar('-xzf', archive, '-C', directory, '--no-same-owner');
}

function tar(...args: string[]): void {
  const { status, stderr } = spawnSync('tar', args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`tar ${args.join(' ')}: ${stderr}`);
}
