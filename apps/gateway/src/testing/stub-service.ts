import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

export type StubRequest = { method: string; url: string; headers: IncomingHttpHeaders; body: Buffer };
/** `silent` never answers. */
export type StubAnswer = { status: number; json?: unknown } | 'silent';

/** A service behind the gateway: remembers what it was asked and answers what the test says. */
export class StubService {
  readonly requests: StubRequest[] = [];
  /** Requests whose caller hung up before they were answered. */
  cutOff = 0;
  answer: (request: StubRequest) => StubAnswer | Promise<StubAnswer> = () => ({
    status: 404,
    json: { code: 'NOT_FOUND', detail: 'stub' },
  });

  private constructor(
    private readonly server: Server,
    readonly url: string,
  ) {}

  static async start(): Promise<StubService> {
    const server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        const { method = '', url = '', headers } = request;
        const asked = { method, url, headers, body: Buffer.concat(chunks) };
        stub.requests.push(asked);
        response.once('close', () => (stub.cutOff += response.writableEnded ? 0 : 1));
        void Promise.resolve(stub.answer(asked)).then((answer) => {
          if (answer === 'silent') return;
          const { status, json } = answer;
          response.writeHead(status, { 'content-type': 'application/json' });
          response.end(json === undefined ? undefined : JSON.stringify(json));
        });
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const stub = new StubService(server, `http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    return stub;
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }
}
