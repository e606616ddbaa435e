import { MessagingError } from '#libs/messaging/port';
import type { ByteReader } from '../wire/bytes.js';
import type { FrameSocket } from '../wire/frame-socket.js';
import { FrameType } from '../wire/frames.js';
import type { FrameWriter } from '../wire/frames.js';
import { fromJson, fromWireError } from '../wire/json.js';

/** Deadlines are checked this often, so a timeout is late by at most as much. */
const SWEEP_MS = 100;
const MAX_REQUEST_ID = 0xffffffff;

export type RequestKind<Result> = {
  type: FrameType;
  write: (writer: FrameWriter) => void;
  /** Reads an answer; `undefined` from a partial one when more frames follow. */
  read: (payload: ByteReader) => Result | undefined;
  /**
   * When the connection ends before the answer: send it again on the next one, fail, or be content
   * with `answer`. One that was not sent yet waits for the next connection, unless it has an `answer`.
   */
  whenLost: 'again' | 'fail' | { answer: Result };
  /** Time the broker may take by request, on top of the timeout. */
  extraMs?: number;
};

type Request = {
  kind: RequestKind<unknown>;
  deadlineMs: number;
  /** Whether any connection carried it: its outcome is unknown from then on. */
  everSent: boolean;
  resolve: (value: unknown) => void;
  reject: (error: Error) => void;
};

/** The requests without an answer, oldest first, and what becomes of them. */
export class Requests {
  private readonly open = new Map<number, Request>();
  private lastId = 0;
  private sweeper: NodeJS.Timeout | undefined;

  constructor(
    private readonly timeoutMs: number,
    private readonly linkError: () => MessagingError | undefined,
  ) {}

  add<Result>(kind: RequestKind<Result>, socket: FrameSocket | undefined): Promise<Result> {
    if (socket === undefined && typeof kind.whenLost === 'object')
      return Promise.resolve(kind.whenLost.answer);
    return new Promise<Result>((resolve, reject) => {
      const id = this.nextId();
      const request: Request = {
        kind,
        deadlineMs: performance.now() + this.timeoutMs + (kind.extraMs ?? 0),
        everSent: false,
        resolve: resolve as (value: unknown) => void,
        reject,
      };
      this.open.set(id, request);
      this.sweeper ??= setInterval(() => this.sweep(), SWEEP_MS).unref();
      if (socket !== undefined) this.send(id, request, socket);
    });
  }

  /** Sends what waits, in the order in which it was asked. */
  sendAll(socket: FrameSocket): void {
    for (const [id, request] of this.open)
      if (!request.everSent || request.kind.whenLost === 'again') this.send(id, request, socket);
  }

  answer(type: number, id: number, payload: ByteReader): void {
    const request = this.open.get(id);
    // Answers to requests that timed out meanwhile.
    if (request === undefined) return;
    if (type === FrameType.failure) return this.end(id).reject(fromWireError(fromJson(payload.string())));
    const value = request.kind.read(payload);
    // A call without a result answers `undefined` too, but never in a partial frame.
    if (value === undefined && type === FrameType.pulled) return;
    payload.finish();
    this.end(id).resolve(value);
  }

  connectionLost(error: MessagingError): void {
    for (const [id, { kind, everSent }] of [...this.open]) {
      if (typeof kind.whenLost === 'object') this.end(id).resolve(kind.whenLost.answer);
      else if (kind.whenLost === 'fail' && everSent) this.end(id).reject(error);
    }
  }

  failAll(error: MessagingError): void {
    for (const id of [...this.open.keys()]) this.end(id).reject(error);
  }

  private send(id: number, request: Request, socket: FrameSocket): void {
    try {
      socket.frame(request.kind.type, id, request.kind.write);
      request.everSent = true;
    } catch (error) {
      // Too large, or not encodable at all: no connection will carry it.
      this.end(id).reject(error instanceof Error ? error : new Error(String(error)));
    }
  }

  private end(id: number): Request {
    const request = this.open.get(id) as Request;
    this.open.delete(id);
    if (this.open.size === 0) {
      clearInterval(this.sweeper);
      this.sweeper = undefined;
    }
    return request;
  }

  private sweep(): void {
    const nowMs = performance.now();
    for (const [id, { deadlineMs, everSent }] of [...this.open]) {
      if (deadlineMs > nowMs) continue;
      this.end(id).reject(everSent ? timedOut() : neverSent(this.linkError()));
    }
  }

  private nextId(): number {
    do this.lastId = this.lastId === MAX_REQUEST_ID ? 1 : this.lastId + 1;
    while (this.open.has(this.lastId));
    return this.lastId;
  }
}

function timedOut(): MessagingError {
  return new MessagingError('REQUEST_TIMEOUT', 'the broker did not answer in time; the outcome is unknown');
}

function neverSent(error: MessagingError | undefined): MessagingError {
  return error ?? new MessagingError('BROKER_UNAVAILABLE', 'there was no connection to the broker in time');
}
