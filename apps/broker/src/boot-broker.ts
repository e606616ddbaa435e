import { readFile } from 'node:fs/promises';
import type { Logger } from 'pino';
import { BrokerServer, EmbeddedBroker } from '#libs/broker';
import { MessagingError, type StorageInfo } from '#libs/messaging/port';
import { ConfigError, createLogger, exitCodeOf, loadConfig, stopOnSignals } from '#libs/service-kit/process';
import { BrokerConfig, brokerOptions } from './broker.config.js';
import { BrokerMetrics } from './observe/broker-metrics.js';
import { errorLine } from './observe/error-line.js';
import { ObservationServer } from './observe/observation-server.js';

export type RunningBroker = {
  /** Where clients connect, and where health and metrics are, with the ports that were really taken. */
  url: string;
  httpUrl: string;
  close(): Promise<void>;
};

/**
 * Runs the broker until SIGTERM or SIGINT. What keeps it from starting is one line and exit code 78 when only the
 * operator can mend it, else 1, and so is a disk that fails it later: nothing more is taken until the directory is opened anew (ADR 13), which is for whoever keeps
 * this process running to bring about.
 */
export async function bootBroker(env: NodeJS.ProcessEnv = process.env): Promise<void> {
  let logger: Logger | undefined;
  try {
    const config = loadConfig(BrokerConfig, env);
    logger = createLogger({ name: 'broker', level: config.LOG_LEVEL });
    const running = await startBroker(config, logger, endAfterFailure);
    stopOnSignals(running, logger);
    logger.info({ url: running.url, httpUrl: running.httpUrl, dir: config.BROKER_DIR }, 'broker is up');
  } catch (error) {
    endAfterFailure(error);
  }
}

function endAfterFailure(error: unknown): never {
  process.stderr.write(`broker: ${lineOf(error)}\n`);
  process.exit(exitCodeOf(error));
}

/** Opens the log, then lets clients in. Health answers from the first moment, so that a probe can tell a long recovery from a dead process. `onStorageFailed` is called once the journal can no longer be written. */
export async function startBroker(
  config: BrokerConfig,
  logger: Logger,
  onStorageFailed: (error: MessagingError) => void = () => undefined,
): Promise<RunningBroker> {
  const metrics = new BrokerMetrics();
  const observation = await ObservationServer.listen({ host: config.HOST, port: config.PORT, metrics });
  let broker: EmbeddedBroker | undefined;
  try {
    broker = await EmbeddedBroker.open({
      ...brokerOptions(config),
      onProblem: ({ message, error }) => {
        logger.error({ err: error }, message);
        if (error instanceof MessagingError && error.code === 'STORAGE_FAILED') onStorageFailed(error);
      },
    });
    const server = await BrokerServer.listen(broker, {
      host: config.HOST,
      port: config.BROKER_PORT,
      token: config.BROKER_TOKEN,
      log: logger,
      ...(await readTls(config)),
    });
    const port = broker.connect('broker-metrics');
    metrics.observe(port.admin, () => server.connectionCount);
    // Reads nothing from disk, but fails when the broker is no longer able to serve.
    observation.ready(async () => ({ broker: 'ok', disk: wordsFor(await port.admin.storage()) }));
    return running(config, { broker, server, observation });
  } catch (error) {
    await observation.close();
    await broker?.close();
    throw error;
  }
}

/** A broker that drains is ready: its consumers need it, and no start of it makes room. */
function wordsFor({ isShort, freeBytes, reserveBytes }: StorageInfo): string {
  if (!isShort) return 'ok';
  const free = freeBytes === undefined ? '' : `, ${freeBytes} bytes free`;
  return `nearly full${free}: sends are refused until ${2 * reserveBytes} are, and consumers drain`;
}

type Parts = { broker: EmbeddedBroker; server: BrokerServer; observation: ObservationServer };

function running(config: BrokerConfig, { broker, server, observation }: Parts): RunningBroker {
  const { host, port } = server.address;
  const scheme = config.BROKER_TLS_KEY === undefined ? 'tcp' : 'tls';
  let closing: Promise<void> | undefined;
  const close = async (): Promise<void> => {
    observation.drain();
    await server.close();
    await broker.close();
    await observation.close();
  };
  return {
    url: `${scheme}://${host.includes(':') ? `[${host}]` : host}:${port}`,
    httpUrl: observation.url,
    close: () => (closing ??= close()),
  };
}

async function readTls(config: BrokerConfig): Promise<{ tls?: { key: Buffer; cert: Buffer } }> {
  const { BROKER_TLS_KEY: key, BROKER_TLS_CERT: cert } = config;
  if (key === undefined || cert === undefined) return {};
  return { tls: { key: await readPem('BROKER_TLS_KEY', key), cert: await readPem('BROKER_TLS_CERT', cert) } };
}

async function readPem(variable: string, path: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (error) {
    throw new ConfigError(`${variable}: ${errorLine(error)}`);
  }
}

/** One line for the operator: what is taken or missing, and what to set. */
export function lineOf(error: unknown): string {
  if (typeof error === 'object' && error !== null && 'code' in error && error.code === 'EADDRINUSE') {
    const port = 'port' in error ? String(error.port) : '?';
    return `port ${port} is in use; set PORT (health, metrics) or BROKER_PORT (clients)`;
  }
  return errorLine(error);
}
