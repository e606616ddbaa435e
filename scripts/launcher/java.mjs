// Java programs of others, as peers to measure ourselves against: their jars come from Maven Central once and stay in
// .stampede/.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Refusal, root } from './prepare.mjs';

const JAVA_MAJOR = 17;

/** @throws {Refusal} when there is no Java, or an older one */
export function requireJava(what) {
  const { stderr, error } = spawnSync('java', ['-version'], { encoding: 'utf8' });
  const major = Number(/version "(\d+)/.exec(stderr ?? '')?.[1]);
  if (error || !(major >= JAVA_MAJOR)) throw new Refusal(`${what} needs Java ${JAVA_MAJOR} or newer`);
}

/**
 * The folder with the jars of `dependencies` and of all that these need. All or nothing: it gets its name once every jar
 * is in it.
 *
 * @param dependencies of a pom.xml, as XML
 * @throws {Refusal} when they are not there and Maven or the network is missing
 */
export function fetchJars(name, version, dependencies) {
  const jars = join(root, '.stampede', `${name.toLowerCase()}-${version}`);
  if (existsSync(jars)) return jars;
  const partial = `${jars}.${process.pid}`;
  mkdirSync(partial, { recursive: true });
  try {
    const pom = join(partial, 'pom.xml');
    writeFileSync(pom, pomWith(dependencies));
    const copy = ['dependency:copy-dependencies', `-DoutputDirectory=${partial}`, '-DincludeScope=runtime'];
    run('mvn', ['-q', '-B', '-f', pom, ...copy], `${name} cannot be had from Maven Central`);
    if (!existsSync(jars)) renameSync(partial, jars);
  } finally {
    rmSync(partial, { recursive: true, force: true });
  }
  return jars;
}

const pomWith = (dependencies) => `<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>stampede</groupId><artifactId>peer</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>${dependencies}</dependencies>
</project>
`;

/** What the program prints. @throws {Refusal} with `whatFailed` and the first line that it has printed */
export function run(program, args, whatFailed, options = {}) {
  const { status, stdout, stderr, error } = spawnSync(program, args, { encoding: 'utf8', ...options });
  if (status === 0) return stdout;
  const [reason = ''] = `${error?.message ?? ''}${stderr ?? ''}${stdout ?? ''}`.trim().split('\n');
  throw new Refusal(`${whatFailed}: ${reason}`);
}
