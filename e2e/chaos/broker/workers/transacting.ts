import { MessagingError, type PendingTransaction, type TransactionDecision } from '#libs/messaging';
import type { Decision, SentMessage } from '../checker/history.js';
import { readHistories } from './history-file.js';
import { type Sending, factOf, insist, outgoing } from './sending.js';
import { type Worker, pause } from './worker.js';

const COMMIT_SHARE = 0.65;
/** Share of the transactions whose decision the broker has to ask for. */
const SILENT_SHARE = 0.15;
const HEADER = 'x-transaction';

/**
 * Transactional messages. This process's own history is its database: a decision stands once it is written
 * there, whatever the broker hears of it, and a check-back is answered from it. A transaction of an
 * earlier run that had not decided never will, so it is rolled back; that decision is written too.
 */
export class Transacting {
  private readonly decisions = new Map<string, Decision>();
  private readonly open = new Set<string>();
  private transactions = 0;

  constructor(
    private readonly worker: Worker,
    private readonly sending: Sending,
  ) {
    const { dir, name } = worker.settings;
    for (const event of readHistories(dir, name).flat())
      if (event.kind === 'decide') this.decisions.set(event.transaction, event.decision);
  }

  async answerChecks(): Promise<void> {
    const check = async (
      _id: string,
      messages: readonly { headers?: object }[],
    ): Promise<TransactionDecision> => this.decisionOf(transactionOf(messages));
    while ((await insist(() => this.worker.broker.onCheckBack(this.group, check).then(() => true))) !== true);
  }

  async run(): Promise<void> {
    const { worker, sending } = this;
    const { name, run } = worker.settings;
    const transaction = `${name}.${run}!${++this.transactions}`;
    const messages = Array.from({ length: worker.between(2, 5) }, () => sending.message());
    this.open.add(transaction);
    worker.history.add({ kind: 'prepare', transaction, messages });
    const pending = await this.prepare(transaction, messages);
    if (pending !== undefined) {
      worker.history.add({ kind: 'prepared', transaction });
      if (worker.chance(0.3)) await pause(worker.between(0, 200));
    }
    const decision = pending !== undefined && worker.chance(COMMIT_SHARE) ? 'commit' : 'rollback';
    this.decide(transaction, decision);
    this.open.delete(transaction);
    if (pending === undefined || worker.chance(SILENT_SHARE)) return;
    await this.tell(transaction, pending, decision);
  }

  private get group(): string {
    return `chaos.${this.worker.settings.name}`;
  }

  /** Not repeated: each try would be a transaction of its own. Undefined when the outcome is unknown. */
  private async prepare(
    transaction: string,
    messages: readonly SentMessage[],
  ): Promise<PendingTransaction | undefined> {
    try {
      const headers = { [HEADER]: transaction };
      return await this.worker.broker.prepare(
        this.group,
        messages.map((message) => ({ ...outgoing(message), headers })),
      );
    } catch (error) {
      if (error instanceof MessagingError && error.kind === 'transient') return undefined;
      throw error;
    }
  }

  private async tell(transaction: string, pending: PendingTransaction, decision: Decision): Promise<void> {
    const { history } = this.worker;
    const receipts = await insist(
      async () => {
        if (decision === 'commit') return pending.commit();
        await pending.rollback();
        return [];
      },
      ({ code }) => {
        if (code === 'TRANSACTION_CONFLICT' || code === 'UNKNOWN_TRANSACTION')
          history.add({ kind: 'decide-refused', transaction, code });
      },
    );
    if (receipts !== undefined)
      history.add({ kind: 'decided', transaction, decision, receipts: receipts.map(factOf) });
  }

  private decisionOf(transaction: string): TransactionDecision {
    if (this.open.has(transaction)) return 'unknown';
    return this.decisions.get(transaction) ?? this.decide(transaction, 'rollback');
  }

  private decide(transaction: string, decision: Decision): Decision {
    this.worker.history.add({ kind: 'decide', transaction, decision });
    this.decisions.set(transaction, decision);
    return decision;
  }
}

function transactionOf([message]: readonly { headers?: object }[]): string {
  const headers = message?.headers as Record<string, string> | undefined;
  const transaction = headers?.[HEADER];
  if (transaction === undefined) throw new Error('a check-back without the headers that were prepared');
  return transaction;
}
