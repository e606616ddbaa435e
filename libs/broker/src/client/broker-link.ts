import { connect, isIP } from 'node:net';
import type { Socket } from 'node:net';
import { hostname } from 'node:os';
import { connect as connectTls } from 'node:tls';
import { MessagingError } from '#libs/messaging/port';
import type { ByteReader } from '../wire/bytes.js';
import { FrameSocket, HEARTBEAT } from '../wire/frame-socket.js';
import type { Heartbeat } from '../wire/frame-socket.js';
import { FrameType, PROTOCOL_VERSION } from '../wire/frames.js';
import { fromJson, fromWireError } from '../wire/json.js';
import { errorText } from './log.js';
import type { ClientLog } from './log.js';

/** Waits between tries: 50 ms, doubled up to 2 s, each shortened at random by up to half. */
const FIRST_BACKOFF_MS = 50;
const MAX_BACKOFF_MS = 2_000;
/** After a refusal (wrong token, other protocol) a fast retry helps nobody. */
const REFUSED_BACKOFF_MS = 30_000;
/** A connection that ends sooner counts as another failure: a broker that takes us and drops us is not asked faster and faster, nor told of each time. */
const STABLE_MS = 2_000;
/** How long TCP, TLS and hello may take together. */
const CONNECT_MS = 5_000;

export type LinkOptions = {
  /** `tcp://host:port` or `tls://host:port`. */
  url: string;
  token: string;
  clientName: string;
  /** Certificate authority to trust with `tls:`, PEM. Default: the system's. */
  ca?: string | Buffer;
  heartbeat?: Heartbeat;
  log: ClientLog;
};

export interface LinkEvents {
  /** The broker has accepted us. */
  up(socket: FrameSocket): void;
  frame(type: number, request: number, payload: ByteReader): void;
  /** The connection is lost, or one could not be made; the next try follows. */
  down(error: MessagingError): void;
}

/** One connection after another, for ever: a new one follows each that ends, with back-off and jitter. */
export class BrokerLink {
  /** Why there is no connection. `undefined` while there is one, and before the first try. */
  error: MessagingError | undefined;
  private socket: FrameSocket | undefined;
  private timer: NodeJS.Timeout | undefined;
  private failures = 0;
  /** The trouble that the log knows of. */
  private told: string | undefined;
  private stable: NodeJS.Timeout | undefined;
  private started = false;
  private readonly endpoint: { host: string; port: number; tls: boolean };

  constructor(
    private readonly options: LinkOptions,
    private readonly events: LinkEvents,
  ) {
    this.endpoint = parseUrl(options.url);
  }

  /** True when the broker refused us and waiting for another answer is pointless. */
  get refused(): boolean {
    return this.error?.kind === 'invalid' || this.error?.code === 'PROTOCOL_ERROR';
  }

  start(): void {
    if (this.started) return;
    this.started = true;
    this.connect();
  }

  stop(): void {
    this.started = false;
    clearTimeout(this.timer);
    clearTimeout(this.stable);
    this.socket?.end();
    this.socket = undefined;
  }

  /** Gives up the present connection; the next try follows. */
  drop(error: Error): void {
    this.socket?.destroy(error);
  }

  private connect(): void {
    const { host, port, tls } = this.endpoint;
    const { token, clientName, ca, heartbeat = HEARTBEAT } = this.options;
    const raw: Socket = tls
      ? connectTls({
          host,
          port,
          ...(isIP(host) ? {} : { servername: host }),
          ...(ca === undefined ? {} : { ca }),
        })
      : connect({ host, port });
    let accepted = false;
    let goodbye: MessagingError | undefined;
    const socket = new FrameSocket(
      raw,
      {
        onFrame: (type, request, payload) => {
          if (type === FrameType.goodbye) {
            goodbye = fromWireError(fromJson(payload.string()));
            socket.destroy();
          } else if (accepted) {
            this.events.frame(type, request, payload);
          } else if (type === FrameType.welcome) {
            accepted = true;
            clearTimeout(deadline);
            this.accepted(socket);
          }
        },
        onClose: (error) => {
          clearTimeout(deadline);
          this.lost(socket, goodbye ?? this.unreachable(error, accepted));
        },
      },
      heartbeat,
    );
    const deadline = setTimeout(() => socket.destroy(new Error('no welcome in time')), CONNECT_MS);
    this.socket = socket;
    socket.frame(FrameType.hello, 0, (writer) =>
      writer.json({ version: PROTOCOL_VERSION, token, clientName, node: hostname() }),
    );
  }

  private accepted(socket: FrameSocket): void {
    this.stable = setTimeout(() => {
      if (this.told !== undefined)
        this.options.log.info({ url: this.options.url }, 'connected to the broker again');
      this.told = undefined;
      this.failures = 0;
    }, STABLE_MS).unref();
    this.error = undefined;
    this.events.up(socket);
  }

  private lost(socket: FrameSocket, error: MessagingError): void {
    if (socket !== this.socket) return;
    this.socket = undefined;
    clearTimeout(this.stable);
    if (error.code !== this.told) {
      this.options.log.warn({ url: this.options.url, error: error.message }, 'no connection to the broker');
    }
    this.told = error.code;
    this.error = error;
    this.failures++;
    // Scheduled first: whoever hears of the loss may stop the link for good.
    this.timer = setTimeout(
      () => this.connect(),
      this.refused ? REFUSED_BACKOFF_MS : backoffMs(this.failures),
    );
    this.events.down(error);
  }

  private unreachable(error: Error | undefined, accepted: boolean): MessagingError {
    if (error instanceof MessagingError && error.code === 'PROTOCOL_ERROR') return error;
    const what = accepted ? 'the connection was lost' : 'cannot connect';
    const why = error === undefined ? 'the broker ended it' : errorText(error);
    return new MessagingError('BROKER_UNAVAILABLE', `${this.options.url}: ${what}: ${why}`);
  }
}

function backoffMs(failures: number): number {
  const fullMs = Math.min(MAX_BACKOFF_MS, FIRST_BACKOFF_MS * 2 ** Math.min(failures - 1, 16));
  return fullMs * (0.5 + Math.random() / 2);
}

/** @throws {MessagingError} `INVALID_ARGUMENT` when the URL is not one of a broker. */
export function parseUrl(url: string): { host: string; port: number; tls: boolean } {
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  const tls = parsed?.protocol === 'tls:';
  if (
    parsed === undefined ||
    !(tls || parsed.protocol === 'tcp:') ||
    parsed.port === '' ||
    parsed.hostname === ''
  ) {
    throw new MessagingError('INVALID_ARGUMENT', `"${url}" is not a broker's address (tcp://host:port)`);
  }
  return { host: parsed.hostname.replace(/^\[|\]$/g, ''), port: Number(parsed.port), tls };
}
