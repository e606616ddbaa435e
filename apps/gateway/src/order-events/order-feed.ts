import { Injectable } from '@nestjs/common';
import type { StatusChange } from '../domain/order-progress.js';

export type StatusListener = (change: StatusChange) => void;

/** Passes the changes that this process hears about to the streams that are open here. */
@Injectable()
export class OrderFeed {
  private readonly listeners = new Map<string, Set<StatusListener>>();

  publish(change: StatusChange): void {
    for (const listener of this.listeners.get(change.orderNo) ?? []) listener(change);
  }

  /** Returns what ends the subscription; repeating that is harmless. */
  subscribe(orderNo: string, listener: StatusListener): () => void {
    const listeners = this.listeners.get(orderNo) ?? new Set();
    this.listeners.set(orderNo, listeners.add(listener));
    return () => {
      listeners.delete(listener);
      // A later stream may have put a new set there.
      if (listeners.size === 0 && this.listeners.get(orderNo) === listeners) this.listeners.delete(orderNo);
    };
  }
}
