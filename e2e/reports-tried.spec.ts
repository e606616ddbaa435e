import { describe, expect, test } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { repositoryRoot } from '../libs/service-kit/src/testing/repository-root.js';

const docs = join(repositoryRoot(), 'docs');
/** A row's last cell: a link to a spec, and the name of a test in it. */
const PROOF = /\[`[^`]+`\]\((?<path>[^)]+\.spec\.ts)\): (?<title>.*?) *\|$/;

const rows = readFileSync(join(docs, 'reports-tried.md'), 'utf8')
  .split('\n')
  .filter((line) => line.startsWith('|') && !/^\| *(report|-+) *\|/.test(line));

describe('the page of reports that were tried', () => {
  test('has rows', () => expect(rows.length).toBeGreaterThan(30));

  test.each(rows)('%s', (row) => {
    const { path = '', title = '' } = PROOF.exec(row)?.groups ?? {};
    expect(path).not.toBe('');
    expect(readFileSync(join(docs, path), 'utf8')).toContain(`'${title.replaceAll("'", String.raw`\'`)}'`);
  });
});
