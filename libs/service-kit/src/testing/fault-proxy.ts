import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';

type Direction = { from: Socket; to: Socket };
type Link = {
  client: Socket;
  server: Socket;
  /** Bytes go nowhere any more, and neither side is told. */
  isStranded: boolean;
  /** Whether something of the server's was thrown away: what comes after it makes no sense to the client. */
  hasLostAnswer: boolean;
  /** The request that is kept back, and all that came after it. */
  holding: Buffer[] | undefined;
  /** The answer that is kept back, and what there is of it so far. */
  catching: { trap: Trap; answer: Buffer; isComplete: boolean } | undefined;
  /** The last bytes of the request before, in case a pattern is cut in two. */
  requestTail: string;
};

/** How a connection goes on: as if nothing had been; reset; or with both sides hearing nothing, for ever. */
export type Outcome = 'forward' | 'reset' | 'silence';

export type Interception = {
  /** `before`: the server has not seen the request. `after`: it has done it, and nobody knows. */
  when: 'before' | 'after';
  /** How many requests with the pattern go through before. Default 0. */
  skip?: number;
  /** Whether the peer has done its work: only then is its answer complete. Default: its first byte. */
  isComplete?: (answer: Buffer) => boolean;
  /** Called with the connection kept still; the outcome ends that. */
  act: () => Outcome | Promise<Outcome>;
};
type Trap = Required<Interception> & { pattern: string | RegExp; sprung: () => void };

export type SwallowOptions = Pick<Interception, 'skip' | 'isComplete'> & {
  /** `reset` (default): the client's connection breaks. `silence`: the client hears nothing, for ever. */
  then?: 'reset' | 'silence';
};

/** Kept of a request that does not match, for a pattern that has no length of its own. */
const TAIL_CHARACTERS = 1_024;

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
  private isLosingAnswers = false;

  private constructor(
    private readonly listener: Server,
    private target: { host: string; port: number },
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

  /** Ends `stall`, `refuse` and `loseAnswers`. */
  resume(): void {
    this.isStalled = false;
    this.isRefusing = false;
    this.isLosingAnswers = false;
    for (const link of [...this.links]) {
      if (link.hasLostAnswer) this.reset(link);
      link.client.resume();
      link.server.resume();
    }
  }

  /** Cuts, and resets every new connection until `resume`: the server is away. */
  refuse(): void {
    this.isRefusing = true;
    this.cut();
  }

  /** Fail-over: connections that come from now on go to the server of this URL. Those that stand stay where they are. */
  switchTo(url: string): void {
    const { hostname, port } = new URL(url);
    this.target = { host: hostname, port: Number(port) };
  }

  /** Half-open: the connections that stand carry nothing any more, and neither side is told. New ones work. */
  strand(): void {
    for (const link of this.links) link.isStranded = true;
  }

  /** Requests reach the server, which does them; what it says is lost until `resume`, which resets those connections. */
  loseAnswers(): void {
    this.isLosingAnswers = true;
  }

  /**
   * Loses one answer: the next request that contains `pattern` reaches the server, which does it; what the
   * server says of it never reaches the client. Resolves when that has happened.
   */
  swallowAnswersAfter(pattern: string, { then = 'reset', ...options }: SwallowOptions = {}): Promise<void> {
    return this.intercept(pattern, { when: 'after', act: () => then, ...options });
  }

  /**
   * Keeps one connection still at one moment: when the next request that contains `pattern` has come, or when the
   * server has done it. Resolves when `act` has been called and its outcome has been brought about.
   */
  intercept(pattern: string | RegExp, interception: Interception): Promise<void> {
    return new Promise((sprung) => {
      this.traps.push({ skip: 0, isComplete: () => true, ...interception, pattern, sprung });
    });
  }

  /** Takes back all interceptions that have not happened. */
  disarm(): void {
    this.traps.length = 0;
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
    const link: Link = {
      client,
      server,
      isStranded: false,
      hasLostAnswer: false,
      holding: undefined,
      catching: undefined,
      requestTail: '',
    };
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

  private isLive = ({ isStranded, catching, holding, hasLostAnswer }: Link): boolean =>
    !isStranded && catching === undefined && holding === undefined && !hasLostAnswer;

  private ask(link: Link, chunk: Buffer): void {
    if (link.isStranded) return;
    if (link.holding !== undefined) {
      link.holding.push(chunk);
      return;
    }
    const trap = this.trapFor(link, chunk);
    if (trap?.when === 'before') {
      link.holding = [chunk];
      void this.spring(link, trap);
      return;
    }
    if (trap !== undefined) link.catching = { trap, answer: Buffer.alloc(0), isComplete: false };
    link.server.write(chunk);
  }

  private trapFor(link: Link, chunk: Buffer): Trap | undefined {
    const [trap] = this.traps;
    if (trap === undefined || link.catching !== undefined) return undefined;
    const { pattern } = trap;
    const text = link.requestTail + chunk.toString('latin1');
    if (typeof pattern === 'string' ? !text.includes(pattern) : !pattern.test(text)) {
      const length = typeof pattern === 'string' ? pattern.length - 1 : TAIL_CHARACTERS;
      link.requestTail = length === 0 ? '' : text.slice(-length);
      return undefined;
    }
    link.requestTail = '';
    if (trap.skip > 0) {
      trap.skip -= 1;
      return undefined;
    }
    this.traps.shift();
    return trap;
  }

  private answer(link: Link, chunk: Buffer): void {
    if (link.isStranded) return;
    if (this.isLosingAnswers) {
      link.hasLostAnswer = true;
      return;
    }
    const { catching } = link;
    if (catching === undefined) {
      link.client.write(chunk);
      return;
    }
    catching.answer = Buffer.concat([catching.answer, chunk]);
    if (catching.isComplete || !catching.trap.isComplete(catching.answer)) return;
    catching.isComplete = true;
    void this.spring(link, catching.trap);
  }

  private async spring(link: Link, trap: Trap): Promise<void> {
    const outcome = await trap.act();
    const { holding = [], catching } = link;
    link.holding = undefined;
    link.catching = undefined;
    if (outcome === 'reset') this.reset(link);
    else if (outcome === 'silence') link.isStranded = true;
    else if (this.links.has(link)) {
      for (const chunk of holding) link.server.write(chunk);
      if (catching !== undefined) link.client.write(catching.answer);
    }
    trap.sprung();
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
