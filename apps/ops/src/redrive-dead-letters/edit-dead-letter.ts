import { Inject, Injectable } from '@nestjs/common';
import type { DeadLetterPatch } from '#libs/contracts';
import { BROKER_PORT, MessagingError, type BrokerPort } from '#libs/messaging';
import { HttpProblem } from '#libs/service-kit';
import type { DeadLetter } from '#prisma/ops';
import { DeadLetterStore } from '../collect-dead-letters/dead-letter-store.js';
import { bytesOf } from '../domain/dead-letter-body.js';
import { deadLetterNotFound, deadLetterResolved } from '../domain/errors.js';

/** Changes what a redrive will give back. The broker is told first and the row follows, as for a redrive. */
@Injectable()
export class EditDeadLetter {
  constructor(
    private readonly store: DeadLetterStore,
    @Inject(BROKER_PORT) private readonly broker: BrokerPort,
  ) {}

  /** @throws {DomainError} `DEAD_LETTER_NOT_FOUND`, `DEAD_LETTER_RESOLVED`; {HttpProblem} `INVALID_REQUEST` for what no message may be */
  async execute(id: string, patch: DeadLetterPatch, actor: string): Promise<DeadLetter> {
    const { body, bodyEncoding = 'json', headers } = patch;
    const edit = {
      ...(body !== undefined && { body: bytesOf({ bodyEncoding, body }) }),
      ...(headers !== undefined && { headers }),
    };
    // Of two at once the broker and the row must keep the same.
    return this.store.exclusively(id, async (database) => {
      const letter = await this.store.find(id, database);
      if (letter === null) throw deadLetterNotFound(id);
      if (letter.status !== 'DEAD') throw deadLetterResolved(id);
      if (!(await this.tell(letter, edit))) throw deadLetterResolved(id);
      await this.store.edit(letter, edit, actor, database);
      return { ...letter, ...edit };
    });
  }

  private async tell(
    { group, messageId }: DeadLetter,
    edit: { body?: Uint8Array; headers?: Record<string, string> },
  ): Promise<boolean> {
    try {
      return await this.broker.admin.editDeadLetter(group, messageId, edit);
    } catch (error) {
      if (error instanceof MessagingError && error.kind === 'invalid')
        throw new HttpProblem(400, 'INVALID_REQUEST', error.message, {}, { cause: error });
      throw error;
    }
  }
}
