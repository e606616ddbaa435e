import { Refusal } from './prepare.mjs';

/** What each may begin with, and a form to say it by. */
const ADDRESSES = {
  DATABASE_URL: [/^postgres(ql)?:\/\//, 'postgresql://user:password@host:port/database'],
  REDIS_URL: [/^rediss?:\/\//, 'redis://host:port'],
  BROKER_URL: [/^(tcp|tls):\/\//, 'tcp://host:port'],
};

/**
 * Brings the environment into the form that the launcher reads. An empty variable counts as absent, as for the
 * services: compose files and shells leave them behind. An address or a port that is none is refused before anything is
 * installed, built or started.
 */
export function readEnvironment(env) {
  for (const [name, value] of Object.entries(env)) if (value === '') delete env[name];
  for (const [name, [beginning, form]] of Object.entries(ADDRESSES)) {
    const text = env[name];
    if (text === undefined || (URL.canParse(text) && beginning.test(text))) continue;
    // The value stays unsaid: there may be a password in it.
    throw new Refusal(`${name} must look like ${form}.`);
  }
  const port = Number(env.PORT ?? 3000);
  if (!Number.isInteger(port) || port < 1 || port > 65_500) {
    throw new Refusal(`PORT must be a number from 1 to 65500, not "${env.PORT}".`);
  }
  if (env.BROKER === 'kafka') throw new Refusal('BROKER=kafka is not available yet.');
  if (env.BROKER !== undefined && env.BROKER !== 'embedded') {
    throw new Refusal(`BROKER must be "embedded", not "${env.BROKER}".`);
  }
  if (env.npm_config_reset) {
    throw new Refusal('npm kept --reset for itself, and nothing was emptied. Write: npm run shop -- --reset');
  }
}
