/** What the bench needs to know of a broker, ours or another's, to treat all of them alike. */

/** Where a running broker is, as a worker process is told. */
export type Endpoint = {
  host: string;
  port: number;
  token?: string;
  /** Where queues are made, when that is another one. */
  adminPort?: number;
};

export interface RunningBroker {
  endpoint: Endpoint;
  /** The process that does the broker's work, for its CPU time. */
  pid: number;
  stop(): Promise<void>;
}

/** A message's body as its client hands it over. It is ASCII, so that its length is its size for everybody. */
export type OnMessage = (body: string | Uint8Array) => void;

export interface BenchClient {
  /** Makes a queue (topic, stream) of its own for one run. */
  prepare(queue: string): Promise<void>;
  /** One call for one message. Resolves when the broker has confirmed it. */
  send(queue: string, key: string, body: string): Promise<void>;
  /**
   * Takes every message of the queue, calls `onMessage` and acknowledges it; `onAcked` counts
   * acknowledgements once the broker has recorded them, or, where its protocol has no answer to
   * an acknowledgement, once they were written to the connection.
   */
  consume(queue: string, onMessage: OnMessage, onAcked: (messages: number) => void): Promise<void>;
  /** Frees what the queue takes, where the broker can. */
  drop(queue: string): Promise<void>;
  close(): Promise<void>;
}

export type Contender = {
  name: string;
  /** As printed. */
  title: string;
  /** What a confirmed message survives, in the configuration that is measured. */
  durability: string;
  /** Whether a confirmed message survives a power cut, as ours does: only such contenders are compared for "ahead of". */
  equalDurability: boolean;
  /** The benchmarks that it takes part in; all unless said. */
  onlyIn?: readonly string[];
  /** Starts it on loopback with its data in `dir`. @throws when it cannot be started, with the reason for the report */
  start(dir: string): Promise<RunningBroker>;
  connect(endpoint: Endpoint): Promise<BenchClient>;
};

/** Messages under way at a consumer, the same for all. */
export const CONSUMER_IN_FLIGHT = 8_192;
