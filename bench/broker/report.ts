import { format, median } from './benchmark.js';
import type { Row } from './benchmark.js';

/** The rows of one benchmark as a Markdown table, and below it what was skipped and who is ahead. */
export function tableOf(rows: readonly Row[]): string {
  const lines = rows.filter(({ runs }) => runs.length > 0).map(lineOf);
  const durabilities = new Map<string, string>();
  for (const { contender, durability } of rows)
    if (durability !== undefined) durabilities.set(contender, durability);
  const notes = [...durabilities].map(([contender, durability]) => `- ${contender}: ${durability}.`);
  const skipped = new Map<string, string>();
  for (const row of rows) if (row.skipped !== undefined) skipped.set(row.contender, row.skipped);
  for (const [contender, reason] of skipped) notes.push(`- ${contender} was not measured: ${reason}`);
  const table = ['| what | broker | median | runs | target |', '|---|---|--:|---|---|', ...lines].join('\n');
  return notes.length === 0 ? table : `${table}\n\n${notes.join('\n')}`;
}

function lineOf({ variant, contender, unit, runs, target, better }: Row): string {
  const values = runs.map(({ value }) => value);
  const middle = median(values);
  const each = values.length > 1 ? values.map(format).join(' · ') : '';
  return `| ${variant} | ${contender} | ${format(middle)} ${unit} | ${each} | ${verdict(middle, better, target)} |`;
}

function verdict(value: number, better: Row['better'], target: number | undefined): string {
  if (target === undefined) return '';
  const met = better === 'higher' ? value >= target : value <= target;
  return `${better === 'higher' ? '≥' : '≤'} ${format(target)}: ${met ? 'reached' : 'missed'}`;
}
