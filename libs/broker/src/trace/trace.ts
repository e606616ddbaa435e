import type { TraceEvent } from '#libs/messaging';

/** The last steps of all messages, in a ring: recording one is five stores, asking looks at all of them. */
export class Trace {
  private readonly ids: string[];
  private readonly steps: TraceEvent['step'][];
  private readonly times: Float64Array;
  private readonly groups: (string | undefined)[];
  private readonly details: (string | undefined)[];
  private next = 0;
  private full = false;

  /** @param size steps remembered; 0 switches the trace off */
  constructor(private readonly size: number) {
    this.ids = new Array<string>(size).fill('');
    this.steps = new Array<TraceEvent['step']>(size).fill('stored');
    this.times = new Float64Array(size);
    this.groups = new Array<string | undefined>(size).fill(undefined);
    this.details = new Array<string | undefined>(size).fill(undefined);
  }

  add(id: string, step: TraceEvent['step'], atMs: number, group?: string, detail?: string): void {
    if (this.size === 0) return;
    const { next } = this;
    this.ids[next] = id;
    this.steps[next] = step;
    this.times[next] = atMs;
    this.groups[next] = group;
    this.details[next] = detail;
    this.next = next + 1;
    if (this.next === this.size) {
      this.next = 0;
      this.full = true;
    }
  }

  of(id: string): TraceEvent[] {
    const events: TraceEvent[] = [];
    const count = this.full ? this.size : this.next;
    const first = this.full ? this.next : 0;
    for (let i = 0; i < count; i++) {
      const place = (first + i) % this.size;
      if (this.ids[place] !== id) continue;
      const event: TraceEvent = { atMs: this.times[place]!, step: this.steps[place]! };
      if (this.groups[place] !== undefined) event.group = this.groups[place];
      if (this.details[place] !== undefined) event.detail = this.details[place];
      events.push(event);
    }
    return events;
  }
}
