import type { Type } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import type { FastifyInstance } from 'fastify';
import type { Logger } from 'pino';
import { setTimeout as setTimeoutAsync } from 'node:timers/promises';
import {
  BROKER_PORT,
  MessagingError,
  MessagingServer,
  type BrokerPort,
  type ConsumerTrouble,
} from '#libs/messaging';
import { ConfigError, DEFAULT_PORTS, type ServiceConfig } from './config.js';
import { exitCodeOf } from './exit-code.js';
import { Health } from './health/health.js';
import { ServiceAdapter } from './http/fastify.js';
import { NestLogs } from './logs/nest-logs.js';
import { Metrics } from './metrics/metrics.js';
import { stopOnSignals } from './stop-on-signals.js';
import { LOGGER, SERVICE_CONFIG } from './tokens.js';

export type Service = { name: string; module: Type };

/** A service that answers requests and consumes messages. */
export type RunningService = {
  app: NestFastifyApplication;
  /** Where it listens, with the port that was really taken. */
  url: string;
  /** Resolves when the consumers have been subscribed; HTTP is up before that, and says so at `/health/ready`. */
  consuming: Promise<void>;
  /** Not ready → `DRAIN_MS` later: consumers drained → HTTP drained → broker, database and Redis closed. Repeating it is harmless. */
  close(): Promise<void>;
};

/** How long open responses (event streams above all) may keep the HTTP server from closing. */
const HTTP_DRAIN_MS = 4_000;

const BROKER_WAIT_MS = 5_000;
/** Between two waits; a port whose `ready` rejects at once must not be asked in a busy loop. */
const BROKER_PAUSE_MS = 250;

/** Runs a service until SIGTERM or SIGINT. A wrong environment, a port in use or a wrong token is one line and exit code 78. */
export async function bootService(service: Service): Promise<void> {
  let running: RunningService;
  try {
    running = await startService(service);
  } catch (error) {
    exitWithLine(service.name, error);
  }
  const logger = running.app.get<Logger>(LOGGER);
  stopOnSignals(running, logger, running.app.get<ServiceConfig>(SERVICE_CONFIG).DRAIN_MS);
  process.on('unhandledRejection', (reason) => {
    // The state of the process is unknown from here on: it is restarted, and redelivery repeats what it was doing.
    logger.fatal({ err: reason }, 'unhandled rejection');
    process.exit(1);
  });
  try {
    await running.consuming;
  } catch (error) {
    if (exitCodeOf(error) !== 1) exitWithLine(service.name, error);
    logger.fatal({ err: error }, 'the consumers could not be started');
    process.exit(1);
  }
}

/** Starts a service in this process. */
export async function startService({ name, module }: Service): Promise<RunningService> {
  const app = await NestFactory.create<NestFastifyApplication>(module, new ServiceAdapter(), {
    abortOnError: false,
    // Until there is a pino logger to write them to; a failed start is said once, by whoever called this.
    bufferLogs: true,
    autoFlushLogs: false,
  });
  return serve(app, name);
}

/** Attaches what a service has around its module, listens, and starts consuming. Tests hand in an application of Nest's testing module. */
export async function serve(app: NestFastifyApplication, name: string): Promise<RunningService> {
  const health = app.get(Health);
  const messaging = app.get(MessagingServer);
  const config = app.get<ServiceConfig>(SERVICE_CONFIG);
  try {
    app.useLogger(new NestLogs(app.get<Logger>(LOGGER)));
    app.get(Metrics).watch(app.getHttpAdapter().getInstance());
    sendClientsElsewhere(app, health);
    app.connectMicroservice({ strategy: messaging });
    await app.listen(config.PORT ?? DEFAULT_PORTS[name] ?? 0, config.HOST);
  } catch (error) {
    await app.close();
    throw error;
  }
  let subscribed = false;
  let closing: Promise<void> | undefined;
  health.register('consumers', async () => {
    if (!subscribed) throw new Error('not yet subscribed');
    // Not a group that waits for somebody else's mail server, say, or for one message: the service does all else, and a
    // gateway that starts meanwhile waits until this one is ready. What all of it needs has checks of its own.
    const troubles = messaging.troubles().filter(({ isPause }) => !isPause);
    if (troubles.length > 0) throw new Error(told(troubles));
  });
  health.registerLifeSign('consumers', () => {
    const hangs = messaging.troubles().filter(({ isHang }) => isHang);
    return hangs.length > 0 ? told(hangs) : undefined;
  });
  const consuming = consume(app, () => closing !== undefined).then(() => {
    if (closing !== undefined) return;
    subscribed = true;
    app.get<Logger>(LOGGER).info({ url: urlOf(app) }, `${name} is up`);
  });
  // Whoever awaits it gets the failure; one who does not must not be ended by it.
  consuming.catch(() => undefined);
  return { app, url: urlOf(app), consuming, close: () => (closing ??= close(app, health, config.DRAIN_MS)) };
}

const told = (troubles: readonly ConsumerTrouble[]): string =>
  troubles.map(({ group, detail }) => `${group} ${detail}`).join(', ');

/**
 * Subscribes as soon as the broker can be reached, however long that takes: HTTP is up before it, so
 * that a probe can tell a service that waits for its broker from a dead one.
 */
async function consume(app: NestFastifyApplication, isClosing: () => boolean): Promise<void> {
  const broker = app.get<BrokerPort>(BROKER_PORT);
  while (!isClosing()) {
    try {
      await broker.ready(BROKER_WAIT_MS);
      break;
    } catch (error) {
      // The client says why and goes on trying to connect. What a retry cannot cure (a wrong token) ends the start.
      if (!(error instanceof MessagingError) || error.kind !== 'transient') throw error;
      await setTimeoutAsync(BROKER_PAUSE_MS);
    }
  }
  try {
    if (!isClosing()) await app.startAllMicroservices();
  } catch (error) {
    // The connection went away under it because the service is being shut down.
    if (!isClosing()) throw error;
  }
}

/** While it is draining: a client that keeps its connection would send the next request to a port that is closed by then. */
function sendClientsElsewhere(app: NestFastifyApplication, health: Health): void {
  const fastify: FastifyInstance = app.getHttpAdapter().getInstance();
  fastify.addHook('onSend', (_request, reply, payload, done) => {
    if (health.isDraining) void reply.header('connection', 'close');
    done(null, payload);
  });
}

async function close(app: NestFastifyApplication, health: Health, drainMs: number): Promise<void> {
  health.drain();
  if (drainMs > 0) await setTimeoutAsync(drainMs);
  await app.get(MessagingServer).close();
  const cutOff = setTimeout(() => app.getHttpServer().closeAllConnections(), HTTP_DRAIN_MS);
  try {
    await app.close();
  } finally {
    clearTimeout(cutOff);
  }
}

function urlOf(app: NestFastifyApplication): string {
  const address = app.getHttpServer().address();
  if (address === null || typeof address === 'string') return String(address);
  const host = address.family === 'IPv6' ? `[${address.address}]` : address.address;
  return `http://${host}:${address.port}`;
}

function exitWithLine(name: string, error: unknown): never {
  process.stderr.write(`${name}: ${lineOf(error)}\n`);
  process.exit(exitCodeOf(error));
}

function lineOf(error: unknown): string {
  if (error instanceof ConfigError) return error.message;
  if (error instanceof MessagingError && error.code === 'AUTHENTICATION_FAILED') {
    return `BROKER_TOKEN: ${error.message}`;
  }
  if (error instanceof Error && 'syscall' in error && error.syscall === 'listen') {
    return `the port cannot be used (${error.message}); set PORT or HOST`;
  }
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
