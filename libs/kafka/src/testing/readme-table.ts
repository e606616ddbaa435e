import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Refusals } from '../../../messaging/src/conformance/index.js';

export type RefusedRow = { feature: string; why: string; promises: string[] };

/** The tables of README.md that have a column of promises which are not kept. */
export function refusedRows(heading: string): RefusedRow[] {
  const text = readFileSync(join(import.meta.dirname, '../../README.md'), 'utf8');
  const [, section = ''] = text.split(`## ${heading}\n`);
  const [own = ''] = section.split('\n## ');
  const rows = own.split('\n').filter((line) => line.startsWith('|'));
  return rows.slice(2).map((row) => {
    const [, feature = '', why = '', promises = ''] = row.split('|').map((cell) => cell.trim());
    return { feature, why, promises: promises.split('<br>').filter((promise) => promise !== '') };
  });
}

export function refusalsOf(rows: readonly RefusedRow[]): Refusals {
  const refusals: Record<string, Record<string, string>> = {};
  for (const { feature, promises } of rows) {
    for (const promise of promises) {
      const [section = '', title = ''] = promise.split(' › ');
      (refusals[section] ??= {})[title] = feature;
    }
  }
  return refusals;
}
