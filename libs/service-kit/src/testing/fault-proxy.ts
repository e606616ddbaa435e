import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';

type Direction = { from: Socket; to: Socket };
type Link = {
  client: Socket;
  server: Socket;
  /** Bytes go nowhere any more, and neither side is told. */
  isStranded: boolean;
  /** The answer that is being lost, and what was kept of it so far. */
  swallowing: { trap: Trap; answer: Buffer } | undefined;
  /** The last bytes of the request before, in case a pattern is cut in two. */
  requestTail: string;
};

export type SwallowOptions = {
  /** How many requests with the pattern go through before. Default 0. */
  skip?: number;
  /** Whether the peer has done its work: only then is its answer lost for good. Default: its first byte. */
  isComplete?: (answer: Buffer) => boolean;
  /** `reset` (default): the client's connection breaks. `silence`: the client hears nothing, for ever. */
  then?: 'reset' | 'silence';
};
type Trap = Required<SwallowOptions> & { pattern: string; sprung: () => void };

/**
 * PostgreSQL's ReadyForQuery outside of a transaction: what the statement did is committed.
 * @param answer what the server has sent since the statement
 */
export const isCommitted = (answer: Buffer): boolean =>
  answer.includes(Buffer.from([0x5a, 0, 0, 0, 5, 0x49]));

/**
 * A TCP connection that does what networks do: it breaks, it hangs, it loses one answer. Stands between a
 * client and any server; knows nothing of what they speak.
 *
 *     client ──> proxy ──> server
 *
 * Everything starts and ends when the spec says so; nothing happens by chance or by time.
 */
export class FaultProxy {
  private readonly links = new Set<Link>();
  private readonly traps: Trap[] = [];
  private isStalled = false;
  private isRefusing = false;

  private constructor(
    private readonly listener: Server,
    private readonly target: { host: string; port: number },
  ) {
    listener.on('connection', (client) => this.accept(client));
  }

  /** Listens on a free port of the loopback. */
  static async start(target: { host?: string; port: number }): Promise<FaultProxy> {
    const listener = createServer({ allowHalfOpen: false });
    await new Promise<void>((resolve, reject) => {
      listener.once('error', reject);
      listener.listen(0, '127.0.0.1', resolve);
    });
    return new FaultProxy(listener, { host: target.host ?? '127.0.0.1', port: target.port });
  }

  /** In front of the server of a URL. */
  static inFrontOf(url: string): Promise<FaultProxy> {
    const { hostname, port } = new URL(url);
    return FaultProxy.start({ host: hostname, port: Number(port) });
  }

  get port(): number {
    return (this.listener.address() as AddressInfo).port;
  }

  /** Connections that stand. */
  get connections(): number {
    return this.links.size;
  }

  /** The same URL, by way of this proxy. */
  via(url: string): string {
    const through = new URL(url);
    through.hostname = '127.0.0.1';
    through.port = String(this.port);
    return through.href;
  }

  /** Resets every connection that stands, on both sides, and returns how many that were. New ones are accepted. */
  cut(): number {
    const cut = this.links.size;
    for (const link of [...this.links]) this.reset(link);
    return cut;
  }

  /** Keeps all bytes back, of new connections too, until `resume`. Nothing is lost. */
  stall(): void {
    this.isStalled = true;
    for (const { client, server } of this.links) {
      client.pause();
      server.pause();
    }
  }

  /** Ends `stall` and `refuse`. */
  resume(): void {
    this.isStalled = false;
    this.isRefusing = false;
    for (const { client, server } of this.links) {
      client.resume();
      server.resume();
    }
  }

  /** Cuts, and resets every new connection until `resume`: the server is away. */
  refuse(): void {
    this.isRefusing = true;
    this.cut();
  }

  /** Half-open: the connections that stand carry nothing any more, and neither side is told. New ones work. */
  strand(): void {
    for (const link of this.links) link.isStranded = true;
  }

  /**
   * Loses one answer: the next request that contains `pattern` reaches the server, which does it; what the
   * server says of it never reaches the client. Resolves when that has happened.
   */
  swallowAnswersAfter(pattern: string, options: SwallowOptions = {}): Promise<void> {
    return new Promise((sprung) => {
      const { skip = 0, isComplete = () => true, then = 'reset' } = options;
      this.traps.push({ pattern, skip, isComplete, then, sprung });
    });
  }

  async stop(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.listener.close(() => resolve()));
    this.cut();
    await closed;
  }

  private accept(client: Socket): void {
    if (this.isRefusing) {
      client.on('error', ignore);
      client.resetAndDestroy();
      return;
    }
    const server = connect(this.target);
    const link: Link = { client, server, isStranded: false, swallowing: undefined, requestTail: '' };
    this.links.add(link);
    client.setNoDelay(true);
    server.setNoDelay(true);
    client.on('data', (chunk) => this.ask(link, chunk));
    server.on('data', (chunk) => this.answer(link, chunk));
    for (const { from, to } of [
      { from: client, to: server },
      { from: server, to: client },
    ] satisfies Direction[]) {
      from.on('error', ignore);
      from.on('end', () => this.isLive(link) && to.end());
      from.on('close', (hadError) => this.closed(link, to, hadError));
    }
    if (this.isStalled) {
      client.pause();
      server.pause();
    }
  }

  private isLive = (link: Link): boolean => !link.isStranded && link.swallowing === undefined;

  private ask(link: Link, chunk: Buffer): void {
    if (link.isStranded) return;
    this.setTrap(link, chunk);
    link.server.write(chunk);
  }

  private setTrap(link: Link, chunk: Buffer): void {
    const text = link.requestTail + chunk.toString('latin1');
    const [trap] = this.traps;
    if (trap === undefined || link.swallowing !== undefined) return;
    if (!text.includes(trap.pattern)) {
      link.requestTail = text.slice(-(trap.pattern.length - 1) || text.length);
      return;
    }
    link.requestTail = '';
    if (trap.skip > 0) {
      trap.skip -= 1;
      return;
    }
    this.traps.shift();
    link.swallowing = { trap, answer: Buffer.alloc(0) };
  }

  private answer(link: Link, chunk: Buffer): void {
    if (link.isStranded) return;
    const { swallowing } = link;
    if (swallowing === undefined) {
      link.client.write(chunk);
      return;
    }
    swallowing.answer = Buffer.concat([swallowing.answer, chunk]);
    if (!swallowing.trap.isComplete(swallowing.answer)) return;
    if (swallowing.trap.then === 'reset') this.reset(link);
    else link.isStranded = true;
    swallowing.trap.sprung();
  }

  private reset(link: Link): void {
    this.links.delete(link);
    link.client.resetAndDestroy();
    link.server.resetAndDestroy();
  }

  private closed(link: Link, to: Socket, hadError: boolean): void {
    // Who was stranded is not told; its own end of the line is closed by `cut` or `stop`.
    if (link.isStranded || !this.links.delete(link)) return;
    if (hadError) to.resetAndDestroy();
    else to.destroySoon();
  }
}

function ignore(): void {
  // The other side is told by `close`; a fault is what this proxy is for.
}
