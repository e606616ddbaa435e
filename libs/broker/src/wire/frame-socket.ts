import type { Socket } from 'node:net';
import { MessagingError } from '#libs/messaging/port';
import { FrameReader, FrameType, FrameWriter } from './frames.js';
import type { FrameHandler } from './frames.js';

export type Heartbeat = {
  /** A ping is sent after this much silence of our own. */
  everyMs: number;
  /** The peer counts as gone after this much silence of its own. A half-open connection ends here. */
  silenceMs: number;
};
export const HEARTBEAT: Heartbeat = { everyMs: 5_000, silenceMs: 15_000 };

/** Written at once, not at the end of the tick: the peer can begin while more is put together. */
const FLUSH_BYTES = 128 * 1024;

/** How long a peer may take to read the last frames. */
const END_MS = 1_000;

export type FrameSocketEvents = {
  onFrame: FrameHandler;
  /** Called once. `error` is absent when the peer ended the connection in order. */
  onClose: (error?: Error) => void;
};

/** A socket that speaks frames: what is written in one tick leaves in one write, and silence is noticed. */
export class FrameSocket {
  readonly reader: FrameReader;
  private readonly writer = new FrameWriter();
  private readonly timer: NodeJS.Timeout;
  private lastHeardMs = performance.now();
  private lastSaidMs = performance.now();
  private takenBytes = 0;
  private lastTakenMs = performance.now();
  private lastBeatMs = performance.now();
  /** Writes that the socket has not finished. */
  private unwritten = 0;
  private scheduled = false;
  private closed = false;
  private cause: Error | undefined;

  constructor(
    private readonly socket: Socket,
    private readonly events: FrameSocketEvents,
    heartbeat: Heartbeat = HEARTBEAT,
  ) {
    this.reader = new FrameReader(events.onFrame);
    socket.setNoDelay(true);
    socket.on('data', (chunk: Buffer) => this.onData(chunk));
    socket.on('error', (error) => (this.cause ??= error));
    socket.on('close', () => this.onClose());
    this.timer = setInterval(() => this.beat(heartbeat), heartbeat.everyMs / 2);
    this.timer.unref();
  }

  /** Bytes that the peer has not taken yet. */
  get backlogBytes(): number {
    return this.writer.length + this.socket.writableLength;
  }

  /** Writes one frame. @throws {MessagingError} `MESSAGE_TOO_LARGE`; nothing of the frame is sent then. */
  frame(type: FrameType, request: number, write?: (writer: FrameWriter) => void): void {
    if (this.closed) return;
    const { writer } = this;
    writer.begin(type, request);
    try {
      write?.(writer);
    } catch (error) {
      writer.cancel();
      throw error;
    }
    writer.end();
    if (writer.length >= FLUSH_BYTES) return this.flush();
    if (this.scheduled) return;
    this.scheduled = true;
    process.nextTick(() => {
      this.scheduled = false;
      this.flush();
    });
  }

  /** Stops reading until `resume`, so that the peer's sends back up in its own buffers. */
  pause(): void {
    this.socket.pause();
  }

  resume(): void {
    this.lastHeardMs = performance.now();
    this.socket.resume();
  }

  /** Sends what was written, then ends the connection; at once when the peer ends it too, or after a second. */
  end(): void {
    this.flush();
    this.socket.end();
    setTimeout(() => this.socket.destroy(), END_MS).unref();
  }

  destroy(error?: Error): void {
    this.cause ??= error;
    this.socket.destroy();
  }

  private readonly flush = (): void => {
    if (this.writer.length === 0 || this.closed) return;
    this.lastSaidMs = performance.now();
    this.unwritten += 1;
    this.socket.write(this.writer.take(), this.written);
  };

  private readonly written = (): void => {
    this.unwritten -= 1;
    if (this.unwritten === 0) this.writer.rewind();
  };

  private onData(chunk: Buffer): void {
    this.lastHeardMs = performance.now();
    if (this.closed || this.cause !== undefined) return;
    try {
      this.reader.push(chunk);
    } catch (error) {
      this.destroy(error instanceof Error ? error : new Error(String(error)));
    }
  }

  private onClose(): void {
    if (this.closed) return;
    this.closed = true;
    clearInterval(this.timer);
    this.events.onClose(this.cause);
  }

  private beat({ everyMs, silenceMs }: Heartbeat): void {
    const nowMs = performance.now();
    this.standingStillIsNoSilence(nowMs - this.lastBeatMs - everyMs / 2, nowMs);
    const takenBytes = this.socket.bytesWritten - this.socket.writableLength;
    if (takenBytes !== this.takenBytes || this.socket.writableLength === 0) this.lastTakenMs = nowMs;
    this.takenBytes = takenBytes;
    if (nowMs - this.lastTakenMs > silenceMs) {
      this.destroy(new MessagingError('BROKER_UNAVAILABLE', `nothing was taken for ${silenceMs} ms`));
    } else if (nowMs - this.lastHeardMs > silenceMs && !this.socket.isPaused()) {
      this.destroy(new MessagingError('BROKER_UNAVAILABLE', `nothing was heard for ${silenceMs} ms`));
    } else if (nowMs - this.lastSaidMs >= everyMs) {
      this.frame(FrameType.ping, 0);
    }
  }

  /** What the peer did while this process stood still (stopped, swapped out, a machine that slept) waits to be read. */
  private standingStillIsNoSilence(lateMs: number, nowMs: number): void {
    this.lastBeatMs = nowMs;
    if (lateMs <= 0) return;
    this.lastHeardMs = Math.min(nowMs, this.lastHeardMs + lateMs);
    this.lastTakenMs = Math.min(nowMs, this.lastTakenMs + lateMs);
  }
}
