import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { repositoryRoot } from '../libs/service-kit/src/testing/repository-root.js';

const root = repositoryRoot();
const pages = ['apps', 'libs', 'docs', 'e2e', '.github']
  .flatMap((dir) =>
    readdirSync(join(root, dir), { recursive: true, encoding: 'utf8' }).map((path) => join(dir, path)),
  )
  .concat('README.md')
  .filter((path) => path.endsWith('.md'));

/** Written by runs, which a clone may not have had yet. */
const RESULTS = /^e2e\/[^/]+\/results\//;

/** Places within the repository that a page links to. */
const linksOf = (page: string): string[] =>
  [...readFileSync(join(root, page), 'utf8').matchAll(/\]\(([^)#\s]+)[^)]*\)/g)]
    .map(([, link = '']) => link)
    .filter((link) => !/^[a-z]+:/.test(link))
    .map((link) => join(dirname(page), link));

describe('the pages', () => {
  test.each(pages)('%s links to what is there', (page) => {
    const missing = linksOf(page).filter((path) => !existsSync(join(root, path)) && !RESULTS.test(path));
    expect(missing).toEqual([]);
  });

  test('can all be reached from the first one', () => {
    const reached = new Set<string>();
    const queue = ['README.md'];
    for (let page = queue.pop(); page !== undefined; page = queue.pop()) {
      if (reached.has(page)) continue;
      reached.add(page);
      queue.push(...linksOf(page).filter((path) => path.endsWith('.md') && existsSync(join(root, path))));
    }
    // Decisions and templates are read by folder.
    const alone = pages.filter((page) => !reached.has(page) && !/^(docs\/adr|\.github)\//.test(page));
    expect(alone).toEqual([]);
  });
});
