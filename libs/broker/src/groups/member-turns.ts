import type { Consumer } from './consumer.js';
import type { Interest } from './interests.js';

/** Which member of a group is given the next message. */
export class MemberTurns {
  private turn = 0;
  /** The member that is kept free for suspects, while there are any. */
  private examiner: Consumer | undefined;

  constructor(private readonly members: readonly Consumer[]) {}

  get isExamining(): boolean {
    return this.examiner !== undefined;
  }

  /** The next member in turn that may take another message; `takers`: if only they take it. */
  nextWithRoom(takers?: readonly Interest[]): Consumer | undefined {
    const { members } = this;
    for (let i = 0; i < members.length; i++) {
      this.turn = (this.turn + 1) % members.length;
      const member = members[this.turn]!;
      if (member.hasRoom && isFor(member, takers)) return member;
    }
    return undefined;
  }

  /** The same without a turn. */
  hasRoom(takers?: readonly Interest[]): boolean {
    return this.members.some((member) => member.hasRoom && isFor(member, takers));
  }

  /** The member to give a suspect to that only `takers` take: kept free from now on, and ready once it has nothing else. */
  examinerFor(takers?: readonly Interest[]): Consumer | undefined {
    const { examiner, members } = this;
    if (!examiner || examiner.paused || !members.includes(examiner) || !isFor(examiner, takers)) {
      this.dismissExaminer();
      if (members.length === 0) return undefined;
      this.turn = (this.turn + 1) % members.length;
      this.examiner = [...members.slice(this.turn), ...members.slice(0, this.turn)].find(
        (member) => !member.paused && isFor(member, takers),
      );
      if (this.examiner) this.examiner.isReserved = true;
    }
    return this.examiner?.isIdle ? this.examiner : undefined;
  }

  /** Nobody is suspected any more. */
  endExamination(): void {
    if (this.examiner?.inFlight.size === 0) this.dismissExaminer();
  }

  private dismissExaminer(): void {
    if (this.examiner) this.examiner.isReserved = false;
    this.examiner = undefined;
  }
}

const isFor = ({ interest }: Consumer, takers: readonly Interest[] | undefined): boolean =>
  !takers || takers.includes(interest);
