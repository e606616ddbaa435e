import type { BrokerPort } from '../broker-port.js';

/** What a client may be connected with. */
export type ClientOptions = { producer?: { name: string } };

/** One running broker, as the suite sees it. */
export interface BrokerUnderTest {
  /** A new client. Its name shows up in members and attempt histories. */
  connect(clientName: string, options?: ClientOptions): BrokerPort;
  /** Ends the broker without a chance to tidy up, as `kill -9` would, and starts it again on what is on disk, after `downUntilMs` at the earliest. Ports connected before need not work after it. */
  restart(downUntilMs: number): Promise<void>;
  /** Has the trace kept for a restart as far as it is known now, instead of in its own time. */
  keepTrace(): Promise<void>;
  /** Begins to drop now what is beyond the retention that was asked for, instead of in its own time. */
  enforceRetention(): void;
  close(): Promise<void>;
}

export type BrokerTimes = {
  /** Milliseconds until the first check-back of an undecided transaction, and between the following ones. */
  firstCheckMs: number;
  checkEveryMs: number;
  /** Answered checks after which a transaction is parked. */
  maxChecks: number;
};

/** What a section asks for beyond times. */
export type BrokerSettings = BrokerTimes & {
  /** Drop the oldest messages beyond so many bytes, settled or not. Absent: all are kept. */
  retainBytes?: number;
  /** Drop a group's oldest dead letters beyond so many. Absent: the implementation's default. */
  retainDeadLetters?: number;
};

export type BrokerFactory = (settings: BrokerSettings) => Promise<BrokerUnderTest>;
