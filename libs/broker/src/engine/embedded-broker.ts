import { hostname } from 'node:os';
import { type BrokerPort, MessagingError, type TopicOptions } from '#libs/messaging/port';
import { BROKER } from '../audit/audit.js';
import { type PortOptions, portOver } from '../client/port.js';
import { DirectoryLock } from '../journal/directory-lock.js';
import { makePrivate } from '../journal/private-directory.js';
import type { LostRange } from '../journal/recovery.js';
import type { BrokerSession, SessionEvents } from '../session.js';
import { Admin } from './admin.js';
import { Engine } from './engine.js';
import { EngineSession } from './engine-session.js';
import type { LostOffsets } from './lost-messages.js';
import { type BrokerOptions, resolveOptions } from './options.js';

/**
 * The broker inside a process. `connect` gives it to application code as a `BrokerPort`; `openSession`
 * is what the TCP server builds on.
 *
 *     const broker = await EmbeddedBroker.open({ dir: '.data/broker' });
 *     const port = broker.connect('shop');
 *     await port.send([{ topic: 'order', tag: 'paid', key: 'A-1', body: Buffer.from('{}') }]);
 */
export class EmbeddedBroker {
  private readonly sessions = new Set<EngineSession>();
  private readonly admins: Admin;
  private closing: Promise<void> | undefined;

  private constructor(
    private readonly engine: Engine,
    private readonly lock: DirectoryLock,
  ) {
    this.admins = new Admin(engine, BROKER);
  }

  /**
   * Opens the data directory, recovers what is in it and delivers what has become due meanwhile.
   * @throws {MessagingError} `STORAGE_FAILED` when another process has it, `LOG_CORRUPT` when it is damaged
   */
  static async open(options: BrokerOptions): Promise<EmbeddedBroker> {
    const lock = await DirectoryLock.take(options.dir);
    try {
      await makePrivate(options.dir);
      return new EmbeddedBroker(await Engine.open(resolveOptions(options)), lock);
    } catch (error) {
      lock.release();
      throw error;
    }
  }

  /** A connection in process. Everything that the port promises holds as it does over TCP. */
  connect(clientName: string, options: Pick<PortOptions, 'producer'> = {}): BrokerPort {
    return portOver((events) => this.openSession(clientName, events), { inProcess: true, ...options });
  }

  /**
   * @param node the machine that the client runs on; by default this one
   * @throws {MessagingError} `CLOSED`
   */
  openSession(clientName: string, events: SessionEvents, node = hostname()): BrokerSession {
    if (this.closing) throw new MessagingError('CLOSED', 'the broker is closed');
    const session = new EngineSession(this.engine, { name: clientName, node }, events, (ended) => {
      this.sessions.delete(ended);
    });
    this.sessions.add(session);
    return session;
  }

  /** Creates the topic, or answers that it exists. */
  createTopic(topic: string, options?: TopicOptions): Promise<void> {
    return this.admins.createTopic(topic, options);
  }

  /** Does what is due by the injected clock; with the machine's clock that happens by itself. */
  tick(): void {
    this.engine.ticker.tick();
  }

  /** Ranges that were left out because they are damaged; only with `onDamage: 'quarantine'`. */
  get lostRanges(): readonly LostRange[] {
    return this.engine.lost;
  }

  /** The messages that were in them, as far as later entries show that there were some. */
  get lostOffsets(): readonly LostOffsets[] {
    return this.engine.lostOffsets;
  }

  /** Ends all sessions, writes what is left and gives the directory free. */
  close(): Promise<void> {
    this.closing ??= this.shutDown();
    return this.closing;
  }

  private async shutDown(): Promise<void> {
    for (const session of [...this.sessions]) session.end(undefined);
    try {
      await this.engine.close();
    } finally {
      this.lock.release();
    }
  }
}
