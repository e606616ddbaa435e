/** The TypeScript of the README is one program. It is compiled and run as it stands, but for its files and its port. */
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import ts from 'typescript';
import { freePort } from '#libs/service-kit/testing';
import { TEST_CERT, TEST_KEY } from './testing/tls.js';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const README = join(ROOT, 'libs/broker/README.md');

/** Whose every property the README has to name. */
const PUBLIC_TYPES = {
  'libs/broker/src/engine/options.ts': ['BrokerOptions'],
  'libs/broker/src/engine/retention.ts': ['RetentionOptions'],
  'libs/broker/src/dead-letters/letter-retention.ts': ['DeadLetterRetention'],
  'libs/broker/src/transactions/transactions.ts': ['TransactionOptions'],
  'libs/broker/src/server/broker-server.ts': ['ServerOptions'],
  'libs/broker/src/client/connect-broker.ts': ['ConnectOptions'],
  'libs/messaging/src/broker-port.ts': ['Subscription', 'AutomaticRedrive', 'BrokerPort', 'DeliveredMessage'],
  'libs/messaging/src/broker-admin.ts': ['TopicOptions', 'BrokerAdmin'],
  'libs/messaging/src/message.ts': ['OutgoingMessage'],
};

describe('the README of the broker', () => {
  let readme = '';
  let dir = '';
  let example = '';
  let program: ts.Program;

  beforeAll(async () => {
    readme = await readFile(README, 'utf8');
    // Within the repository, where `#libs/*` means something, and beside what is built, where nothing looks for sources.
    await mkdir(join(ROOT, 'dist'), { recursive: true });
    dir = await mkdtemp(join(ROOT, 'dist/readme-'));
    await writeFile(join(dir, 'key.pem'), TEST_KEY);
    await writeFile(join(dir, 'cert.pem'), TEST_CERT);
    example = join(dir, 'example.ts');
    const blocks = [...readme.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, code = '']) => code);
    const code = blocks.join('\n').replaceAll("'.data/", `'${dir}/`);
    await writeFile(example, code.replaceAll('7650', String(await freePort())));

    const { config } = ts.readConfigFile(join(ROOT, 'tsconfig.json'), (path) => ts.sys.readFile(path)) as {
      config: object;
    };
    const { options } = ts.parseJsonConfigFileContent({ ...config, include: [], files: [] }, ts.sys, ROOT);
    program = ts.createProgram([example], options);
  });
  afterAll(() => rm(dir, { recursive: true }));

  it('compiles', () => {
    const source = program.getSourceFile(example);
    const errors = [...program.getSyntacticDiagnostics(source), ...program.getSemanticDiagnostics(source)];
    expect(errors.map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n'))).toEqual([]);
  });

  it('prints what its comments say', async () => {
    const log = jest.spyOn(console, 'log').mockImplementation(() => undefined);
    try {
      await import(example);
      const printed = log.mock.calls.map((values) => values.map(String).join(' '));
      const said = [...readme.matchAll(/console\.log\(.*\); \/\/ (.+)$/gm)].map(([, text = '']) => text);
      // The handler prints beside the rest.
      expect(printed.sort()).toEqual(said.sort());
    } finally {
      log.mockRestore();
    }
  });

  it('names every public option and call', () => {
    const checker = program.getTypeChecker();
    const names = Object.entries(PUBLIC_TYPES).flatMap(([path, types]) => {
      const module = checker.getSymbolAtLocation(program.getSourceFile(join(ROOT, path))!)!;
      const exported = checker.getExportsOfModule(module).filter(({ name }) => types.includes(name));
      expect(exported).toHaveLength(types.length);
      return exported.flatMap((type) => checker.getDeclaredTypeOfSymbol(type).getProperties());
    });
    expect(names.map(({ name }) => name).filter((name) => !new RegExp(`\\b${name}\\b`).test(readme))).toEqual(
      [],
    );
  });

  it('links to what is there', () => {
    const links = [...readme.matchAll(/\]\(([^)#]+)\)/g)].map(([, link = '']) => link);
    expect(links.filter((link) => !existsSync(join(dirname(README), link)))).toEqual([]);
  });
});
