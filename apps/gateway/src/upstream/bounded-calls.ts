import type { Dispatcher } from 'undici';

/** How long an answer is worth waiting for. */
export type Patience = {
  /** Aborted when whoever asked has left. */
  left: AbortSignal;
  /** Until when the answer must have come, on the clock of `performance.now()`. */
  deadlineMs: number;
  /** How long its body may take once it has begun; absent: until the deadline too. */
  bodyMs?: number;
};

/** `left`: nobody waits for the answer any more. `full`: too many wait already, nothing was sent. */
export class CallFailed extends Error {
  constructor(
    readonly reason: 'late' | 'left' | 'full' | 'unreachable',
    options?: ErrorOptions,
  ) {
    super(`the call ended: ${reason}`, options);
    this.name = 'CallFailed';
  }
}

type Answer = Dispatcher.ResponseData;
type Call = (signal: AbortSignal) => Promise<Answer>;

/**
 * Calls of one service: so many at once, so many that wait for their turn, each with a deadline. undici's own queue has no
 * bound, and a request in it does not hear that it was aborted.
 */
export class BoundedCalls {
  private running = 0;
  private readonly waiting = new Set<() => void>();

  constructor(private readonly bounds: { maxRunning: number; maxWaiting: number }) {}

  /** @throws {CallFailed} */
  async run(call: Call, { left, deadlineMs, bodyMs }: Patience): Promise<Answer> {
    const abort = new AbortController();
    const end = (reason: CallFailed['reason']) => () => abort.abort(new CallFailed(reason));
    const leave = end('left');
    if (left.aborted) leave();
    left.addEventListener('abort', leave, { once: true });
    let timer = setTimeout(end('late'), Math.max(0, deadlineMs - performance.now()));
    const forget = (): void => {
      clearTimeout(timer);
      left.removeEventListener('abort', leave);
    };
    try {
      await this.turn(abort.signal);
      const answer = await this.begin(call, abort.signal);
      if (bodyMs !== undefined) {
        clearTimeout(timer);
        timer = setTimeout(end('late'), bodyMs);
      }
      answer.body.once('close', forget);
      return answer;
    } catch (error) {
      forget();
      throw error instanceof CallFailed ? error : new CallFailed('unreachable', { cause: error });
    }
  }

  /** Resolves when the call may begin; its place is then taken. */
  private turn(signal: AbortSignal): Promise<void> {
    if (signal.aborted) return Promise.reject(signal.reason as CallFailed);
    if (this.running < this.bounds.maxRunning) {
      this.running += 1;
      return Promise.resolve();
    }
    if (this.waiting.size >= this.bounds.maxWaiting) return Promise.reject(new CallFailed('full'));
    return new Promise((resolve, reject) => {
      const begin = (): void => {
        signal.removeEventListener('abort', giveUp);
        resolve();
      };
      const giveUp = (): void => {
        this.waiting.delete(begin);
        reject(signal.reason as CallFailed);
      };
      this.waiting.add(begin);
      signal.addEventListener('abort', giveUp, { once: true });
    });
  }

  /** The place is given up when the call has really ended, which may be after its caller has given it up. */
  private begin(call: Call, signal: AbortSignal): Promise<Answer> {
    const called = call(signal);
    const ended = (): void => this.ended();
    called.then(({ body }) => void body.once('close', ended), ended);
    return new Promise((resolve, reject) => {
      // While undici connects it does not hear of an abort either.
      const giveUp = (): void => reject(signal.reason as CallFailed);
      signal.addEventListener('abort', giveUp, { once: true });
      void called.then(resolve, reject).finally(() => signal.removeEventListener('abort', giveUp));
    });
  }

  private ended(): void {
    const [next] = this.waiting;
    if (next === undefined) {
      this.running -= 1;
      return;
    }
    this.waiting.delete(next);
    next();
  }
}
