import { MessagingError } from '#libs/messaging/port';

/**
 * Client and engine number consumers each in their own way: the client chooses, so that it can resume
 * its consumers on a new connection. The engine may deliver before `attach` has told its number;
 * such events wait here.
 */
export class ConsumerIds {
  private readonly toEngine = new Map<number, Promise<number>>();
  private readonly toClient = new Map<number, number>();
  private readonly waiting = new Map<number, ((clientId: number) => void)[]>();
  private joining = 0;

  async join(clientId: number, attach: () => Promise<number>): Promise<void> {
    if (this.toEngine.has(clientId)) {
      throw new MessagingError('INVALID_ARGUMENT', `consumer ${clientId} has joined already`);
    }
    this.joining++;
    const attached = attach();
    this.toEngine.set(clientId, attached);
    try {
      const engineId = await attached;
      this.toClient.set(engineId, clientId);
      for (const event of this.waiting.get(engineId) ?? []) event(clientId);
      this.waiting.delete(engineId);
    } catch (error) {
      this.toEngine.delete(clientId);
      throw error;
    } finally {
      this.joining--;
      if (this.joining === 0) this.waiting.clear();
    }
  }

  async leave(clientId: number, detach: (engineId: number) => Promise<void>): Promise<void> {
    const engineId = await this.engineId(clientId);
    this.toEngine.delete(clientId);
    // Before the engine may give the number to another consumer.
    this.toClient.delete(engineId);
    await detach(engineId);
  }

  engineId(clientId: number): Promise<number> {
    const engineId = this.toEngine.get(clientId);
    if (engineId !== undefined) return engineId;
    return Promise.reject(
      new MessagingError('INVALID_ARGUMENT', `consumer ${clientId} is not of this connection`),
    );
  }

  /** Runs `event` with the client's id of the consumer: now, or once its `attach` is answered. */
  whenKnown(engineId: number, event: (clientId: number) => void): void {
    const clientId = this.toClient.get(engineId);
    if (clientId !== undefined) return event(clientId);
    // Without an attach under way it is about a consumer that has left.
    if (this.joining === 0) return;
    const events = this.waiting.get(engineId);
    if (events === undefined) this.waiting.set(engineId, [event]);
    else events.push(event);
  }
}
