import { createHash, timingSafeEqual } from 'node:crypto';
import { createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { MessagingError } from '#libs/messaging/port';
import type { BrokerSession, SessionEvents } from '../session.js';
import type { ByteReader } from '../wire/bytes.js';
import { FrameSocket, HEARTBEAT } from '../wire/frame-socket.js';
import type { Heartbeat } from '../wire/frame-socket.js';
import { FrameType, MAX_FRAME_BYTES, MAX_HELLO_BYTES, PROTOCOL_VERSION } from '../wire/frames.js';
import { fromJson, toWireError } from '../wire/json.js';
import { defaultLog } from '../client/log.js';
import type { ClientLog } from '../client/log.js';
import { Connection } from './connection.js';

const DEFAULT_MAX_CONNECTIONS = 1_024;
const DEFAULT_HELLO_MS = 5_000;
/** Of what a client says it is called, and its machine. */
const MAX_NAME_CHARS = 255;

/** What the server needs of a broker. */
export interface SessionSource {
  openSession(clientName: string, events: SessionEvents, node: string): BrokerSession;
}

export type ServerOptions = {
  /** Default 127.0.0.1. */
  host?: string;
  /** 0 takes a free port; `address` tells which. */
  port: number;
  /** Shared secret that every client must name. */
  token: string;
  /** PEM key and certificate; then only TLS is spoken. */
  tls?: { key: string | Buffer; cert: string | Buffer };
  /** Connections beyond it are closed at once. Default 1,024. */
  maxConnections?: number;
  /** How long a connection may stay without saying who it is, and how long a TLS handshake may take. Default 5,000 ms. */
  helloTimeoutMs?: number;
  heartbeat?: Heartbeat;
  log?: ClientLog;
};

/** A broker reachable over TCP. */
export class BrokerServer {
  private readonly connections = new Set<Peer>();
  /** All of them, those included whose TLS handshake is not over. */
  private readonly sockets = new Set<Socket>();

  private constructor(
    private readonly server: Server,
    private readonly broker: SessionSource,
    private readonly options: Required<Omit<ServerOptions, 'tls'>>,
  ) {}

  /** Rejects with the system's error when it cannot listen (`EADDRINUSE` …). */
  static async listen(broker: SessionSource, options: ServerOptions): Promise<BrokerServer> {
    if (options.token === '') throw new MessagingError('INVALID_ARGUMENT', 'the server needs a token');
    const { tls, ...rest } = options;
    const { helloTimeoutMs = DEFAULT_HELLO_MS } = options;
    const server =
      tls === undefined ? createServer() : createTlsServer({ ...tls, handshakeTimeout: helloTimeoutMs });
    const brokerServer = new BrokerServer(server, broker, {
      host: '127.0.0.1',
      maxConnections: DEFAULT_MAX_CONNECTIONS,
      helloTimeoutMs: DEFAULT_HELLO_MS,
      heartbeat: HEARTBEAT,
      log: defaultLog(),
      ...rest,
    });
    await brokerServer.open(tls === undefined ? 'connection' : 'secureConnection');
    return brokerServer;
  }

  get address(): { host: string; port: number } {
    const { address, port } = this.server.address() as AddressInfo;
    return { host: address, port };
  }

  /** Connections that said who they are, and those that have not yet. */
  get connectionCount(): number {
    return this.connections.size;
  }

  /** Takes no new connections and says goodbye to those that are open; their clients try to reconnect. */
  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.server.close(() => resolve()));
    const ended = [...this.connections].map((peer) => peer.end());
    await Promise.all(ended);
    // What is left never became a peer.
    for (const socket of this.sockets) socket.destroy();
    await closed;
  }

  private open(event: 'connection' | 'secureConnection'): Promise<void> {
    const { server, options } = this;
    // One more than allowed, so that the one too many can be told why.
    server.maxConnections = options.maxConnections + 1;
    server.on('connection', (socket: Socket) => {
      this.sockets.add(socket);
      socket.once('close', () => this.sockets.delete(socket));
    });
    server.on(event, (socket: Socket) => this.accept(socket));
    // A failed TLS handshake is that peer's affair. Node keeps the connection of one that took too long.
    server.on('tlsClientError', (error: Error, socket: Socket) => {
      options.log.info({ error: error.message }, 'a TLS handshake failed');
      socket.destroy();
    });
    return new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen(options.port, options.host, () => {
        server.off('error', reject);
        server.on('error', (error) =>
          options.log.warn({ error: error.message }, 'the listening socket failed'),
        );
        resolve();
      });
    });
  }

  private accept(socket: Socket): void {
    // Its handshake ended when the server was closing.
    if (!this.server.listening) return void socket.destroy();
    const peer = new Peer(socket, this.broker, this.options, () => this.connections.delete(peer));
    this.connections.add(peer);
    if (this.connections.size <= this.options.maxConnections) return;
    peer.refuse(
      new MessagingError(
        'BROKER_UNAVAILABLE',
        `the broker has its ${this.options.maxConnections} connections already`,
      ),
    );
  }
}

/** A connection from its first byte: says hello, then speaks for a session. */
class Peer {
  private readonly socket: FrameSocket;
  private connection: Connection | undefined;
  private readonly deadline: NodeJS.Timeout;
  private readonly gone: Promise<void>;
  private readonly name: string;
  private readonly address: string;
  private isRefused = false;

  constructor(
    socket: Socket,
    private readonly broker: SessionSource,
    private readonly options: Required<Omit<ServerOptions, 'tls'>>,
    onGone: () => void,
  ) {
    this.address = socket.remoteAddress ?? '?';
    this.name = `${this.address}:${socket.remotePort ?? '?'}`;
    let resolveGone: () => void;
    this.gone = new Promise((resolve) => (resolveGone = resolve));
    this.socket = new FrameSocket(
      socket,
      {
        onFrame: (type, request, payload) => this.onFrame(type, request, payload),
        onClose: (error) => {
          clearTimeout(this.deadline);
          onGone();
          if (error !== undefined)
            options.log.info({ peer: this.name, error: error.message }, 'a connection broke');
          void this.leave().finally(resolveGone);
        },
      },
      options.heartbeat,
    );
    this.socket.reader.maxFrameBytes = MAX_HELLO_BYTES;
    this.deadline = setTimeout(
      () => this.refuse(new MessagingError('PROTOCOL_ERROR', 'no hello in time')),
      options.helloTimeoutMs,
    );
    this.deadline.unref();
  }

  /** Says why, then closes. What else it sends until it is gone is not looked at, another hello least of all. */
  refuse(error: MessagingError): void {
    this.isRefused = true;
    this.options.log.warn({ peer: this.name, error: error.message }, 'a connection was refused');
    this.socket.frame(FrameType.goodbye, 0, (writer) => writer.json(toWireError(error)));
    this.socket.end();
  }

  /** Resolves when the connection is closed and its session has left its groups. */
  end(): Promise<void> {
    this.socket.frame(FrameType.goodbye, 0, (writer) =>
      writer.json(toWireError(new MessagingError('BROKER_UNAVAILABLE', 'the broker is closing'))),
    );
    this.socket.end();
    return this.gone;
  }

  private onFrame(type: number, request: number, payload: ByteReader): void {
    if (this.connection !== undefined) return this.connection.onFrame(type, request, payload);
    if (this.isRefused) return;
    if (type !== FrameType.hello)
      throw new MessagingError('PROTOCOL_ERROR', 'the first frame is not a hello');
    clearTimeout(this.deadline);
    const hello = readHello(payload);
    if (hello.version !== PROTOCOL_VERSION) {
      const detail = `this broker speaks version ${PROTOCOL_VERSION}, the client ${hello.version}`;
      return this.refuse(new MessagingError('PROTOCOL_ERROR', detail));
    }
    if (!sameSecret(hello.token, this.options.token)) {
      return this.refuse(
        new MessagingError('AUTHENTICATION_FAILED', 'the token is not the one of this broker'),
      );
    }
    this.socket.reader.maxFrameBytes = MAX_FRAME_BYTES;
    this.connection = new Connection(this.socket, (events) =>
      this.broker.openSession(hello.clientName, events, hello.node ?? this.address),
    );
    this.socket.frame(FrameType.welcome, request);
  }

  private async leave(): Promise<void> {
    try {
      await this.connection?.close();
    } catch (error) {
      this.options.log.warn({ peer: this.name, error: String(error) }, 'a session did not close');
    }
  }
}

/** `node`: the host name of the client's machine, which older clients do not say. */
type Hello = { version: number; token: string; clientName: string; node?: string };

function readHello(payload: ByteReader): Hello {
  const hello = fromJson(payload.string()) as Partial<Hello> | null;
  if (
    typeof hello?.version === 'number' &&
    typeof hello.token === 'string' &&
    typeof hello.clientName === 'string' &&
    hello.clientName.length <= MAX_NAME_CHARS
  ) {
    const { version, token, clientName, node } = hello;
    const saysNode = typeof node === 'string' && node !== '' && node.length <= MAX_NAME_CHARS;
    return { version, token, clientName, ...(saysNode && { node }) };
  }
  throw new MessagingError('PROTOCOL_ERROR', 'the hello cannot be read');
}

/** Compares hashes, so that the time taken tells neither length nor content. */
function sameSecret(given: string, expected: string): boolean {
  const hash = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(hash(given), hash(expected));
}
