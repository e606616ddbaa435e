import type { BrokerPort } from '#libs/messaging/port';
import type { Heartbeat } from '../wire/frame-socket.js';
import { parseUrl } from './broker-link.js';
import { defaultLog } from './log.js';
import { portOver } from './port.js';
import type { PortOptions } from './port.js';
import { TcpSession } from './tcp-session.js';

const DEFAULT_REQUEST_TIMEOUT_MS = 30_000;

export type ConnectOptions = Omit<PortOptions, 'inProcess'> & {
  /** `tcp://host:port` or `tls://host:port`. */
  url: string;
  token: string;
  /** Shown as the member's client in groups, histories and logs. */
  clientName: string;
  /** How long a request may wait for its answer, reconnects included. Default 30,000 ms. */
  requestTimeoutMs?: number;
  /** Certificate authority to trust with `tls:`, PEM. Default: the system's. */
  ca?: string | Buffer;
  heartbeat?: Heartbeat;
};

/**
 * A port over TCP. Returns at once and connects with the first call; reconnects for ever. What waits
 * for longer than `requestTimeoutMs` is rejected: `BROKER_UNAVAILABLE` when it was never sent or is
 * not repeatable, `REQUEST_TIMEOUT` when the broker may have it. A wrong token is told at once.
 *
 * @throws {MessagingError} `INVALID_ARGUMENT` when the URL is not one of a broker.
 */
export function connectBroker(options: ConnectOptions): BrokerPort {
  parseUrl(options.url);
  const { requestTimeoutMs = DEFAULT_REQUEST_TIMEOUT_MS, log = defaultLog(), ...rest } = options;
  return portOver((events) => new TcpSession(events, { ...rest, requestTimeoutMs, log }), {
    producer: {},
    ...options,
    log,
  });
}
