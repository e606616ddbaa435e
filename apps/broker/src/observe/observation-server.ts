import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { randomUUID } from 'node:crypto';
import { errorLine } from './error-line.js';

/** Bound of a readiness check; an orchestrator's probe would have given up too. */
const CHECK_TIMEOUT_MS = 2_000;

/** By what is checked: `ok`, or what an operator should know. */
export type Checks = { broker: string; disk: string };

export interface Scrapeable {
  readonly contentType: string;
  scrape(): Promise<string>;
}

/**
 * `/health/live`, `/health/ready` and `/metrics`, as on every service, on plain `node:http`: the broker's
 * process has no other HTTP, and starts in half the time without a framework.
 */
export class ObservationServer {
  private check: () => Promise<Checks> = () => Promise.reject(new Error('recovering the log'));

  private constructor(
    private readonly server: Server,
    private readonly metrics: Scrapeable,
  ) {}

  /** Rejects with the system's error when it cannot listen. */
  static async listen(options: {
    host: string;
    port: number;
    metrics: Scrapeable;
  }): Promise<ObservationServer> {
    const server = createServer();
    const observation = new ObservationServer(server, options.metrics);
    server.on('request', (request, response) => void observation.answer(request, response));
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(options.port, options.host, resolve);
    });
    return observation;
  }

  get url(): string {
    const { address, port, family } = this.server.address() as AddressInfo;
    return `http://${family === 'IPv6' ? `[${address}]` : address}:${port}`;
  }

  /** From now on ready whenever `check` resolves, with what it says. */
  ready(check: () => Promise<Checks>): void {
    this.check = check;
  }

  /** From now on not ready, so that nothing new is sent here. */
  drain(): void {
    this.check = () => Promise.reject(new Error('shutting down'));
  }

  close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.server.close(() => resolve()));
    this.server.closeAllConnections();
    return closed;
  }

  private async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    request.resume();
    const path = request.url?.split('?')[0];
    try {
      if (request.method !== 'GET' && request.method !== 'HEAD') {
        problem(response, 405, 'METHOD_NOT_ALLOWED', `${request.method} is not possible here`);
      } else if (path === '/health/live') {
        json(response, { status: 'ok' });
      } else if (path === '/health/ready') {
        await this.answerReady(response);
      } else if (path === '/metrics') {
        const body = await this.metrics.scrape();
        response.writeHead(200, { 'content-type': this.metrics.contentType }).end(body);
      } else {
        problem(response, 404, 'NOT_FOUND', `there is nothing at ${path}`);
      }
    } catch (error) {
      problem(response, 500, 'UNKNOWN', errorLine(error));
    }
  }

  private async answerReady(response: ServerResponse): Promise<void> {
    try {
      json(response, { status: 'ok', checks: await withDeadline(this.check()) });
    } catch (error) {
      response.setHeader('retry-after', '1');
      problem(response, 503, 'NOT_READY', `broker: ${errorLine(error)}`);
    }
  }
}

async function withDeadline(check: Promise<Checks>): Promise<Checks> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${CHECK_TIMEOUT_MS} ms`)), CHECK_TIMEOUT_MS);
  });
  return Promise.race([check, late]).finally(() => clearTimeout(timer));
}

function json(response: ServerResponse, body: unknown): void {
  response.writeHead(200, { 'content-type': 'application/json; charset=utf-8' }).end(JSON.stringify(body));
}

const TITLES: Readonly<Record<number, string>> = {
  404: 'Not Found',
  405: 'Method Not Allowed',
  500: 'Internal Server Error',
  503: 'Service Unavailable',
};

function problem(response: ServerResponse, status: number, code: string, detail: string): void {
  const correlationId = randomUUID();
  const body = { type: 'about:blank', title: TITLES[status] ?? '', status, code, detail, correlationId };
  response
    .writeHead(status, { 'content-type': 'application/problem+json', 'x-correlation-id': correlationId })
    .end(JSON.stringify(body));
}
