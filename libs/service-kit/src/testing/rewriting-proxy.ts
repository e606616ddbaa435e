import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';

/** Stands before a server and changes what it says: a server of another version, for all that its clients can see. */
export class RewritingProxy {
  private readonly sockets = new Set<Socket>();

  private constructor(
    private readonly listener: Server,
    private readonly target: string,
  ) {}

  /** @param rewrite keeps the length: protocols count. Is called for each chunk, as latin1. */
  static async inFrontOf(target: string, rewrite: (said: string) => string): Promise<RewritingProxy> {
    const { hostname, port } = new URL(target);
    const proxy = new RewritingProxy(createServer(), target);
    proxy.listener.on('connection', (client) => {
      const server = connect(Number(port), hostname);
      for (const [from, to] of [
        [client, server],
        [server, client],
      ] as const) {
        proxy.sockets.add(from);
        from.on('error', () => undefined);
        from.on('close', () => to.destroy());
      }
      client.on('data', (chunk) => server.write(chunk));
      server.on('data', (chunk: Buffer) => client.write(rewrite(chunk.toString('latin1')), 'latin1'));
    });
    await new Promise<void>((resolve) => proxy.listener.listen(0, '127.0.0.1', resolve));
    return proxy;
  }

  /** The target's URL, by way of this proxy. */
  get url(): string {
    const through = new URL(this.target);
    through.port = String((this.listener.address() as AddressInfo).port);
    return through.href;
  }

  async stop(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.listener.close(() => resolve()));
    for (const socket of this.sockets) socket.destroy();
    await closed;
  }
}
