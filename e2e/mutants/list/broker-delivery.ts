import { slipsIn, type Mutant } from '../mutant.js';

const BROKER = 'libs/broker/src';
const DELIVERY = `${BROKER}/groups/delivery.int.spec.ts`;
const ROLLOUT = `${BROKER}/groups/rollout.int.spec.ts`;
const ORDER = `${BROKER}/groups/by-key-order.int.spec.ts`;
const LANES = `${BROKER}/positions/lanes.spec.ts`;
const RETRIES = `${BROKER}/groups/retries.int.spec.ts`;
const UNREADABLE = `${BROKER}/groups/unreadable.int.spec.ts`;
const WINDOW = `${BROKER}/positions/settled-window.spec.ts`;

/** Every message reaches whoever takes it, in the order that was asked for, until somebody has settled it. */
export const BROKER_DELIVERY: readonly Mutant[] = [
  ...slipsIn(
    `${BROKER}/groups/triage.ts`,
    'broker-delivery',
    [DELIVERY],
    [
      [
        'a-tag-filter-trusts-its-hash',
        'return !filter.names.has(recordAt.tag(block, position));',
        'return false;',
      ],
      [
        'what-nobody-takes-is-passed-over',
        'this.host.unwanted(cursor, offset, { stored, attempt: attempt - 1, history });',
        'this.host.pendingAcks.settle(cursor, offset);',
        { specs: [ROLLOUT] },
      ],
      [
        'what-waits-for-others-stops-all',
        'if (group.turns.hasRoom(takers) || !group.turns.hasRoom()) return false;',
        'if (takers.length > 0) return false;',
        { specs: [ROLLOUT] },
      ],
      [
        'a-retry-goes-to-anybody',
        'return cursor.isRetry || group.interests.differ',
        'return group.interests.differ',
        { specs: [ROLLOUT] },
      ],
      ['outlives-its-time', 'return ttlMs > 0 && this.nowMs >=', 'return ttlMs < 0 && this.nowMs >='],
      [
        'at-most-once-comes-again',
        'if (member.atMostOnce) this.host.pendingAcks.settle(cursor, offset);\n',
        '',
      ],
      [
        'what-makes-no-sense-ends-the-round',
        'return this.host.undecodable(cursor, offset, error);',
        'throw error;',
        { specs: [UNREADABLE] },
      ],
    ],
  ),
  ...slipsIn(
    `${BROKER}/groups/waiting-turns.ts`,
    'broker-delivery',
    [DELIVERY],
    [
      [
        'what-waits-is-never-looked-at',
        'left = this.drain(group, items, left, takers);\n',
        '',
        { specs: [ROLLOUT] },
      ],
      [
        'a-suspect-goes-with-others',
        'return this.deliverOne(group, suspects, item, (takers) => group.turns.examinerFor(takers));',
        'return this.deliverOne(group, suspects, item, (takers) => group.turns.nextWithRoom(takers));',
      ],
      [
        'an-unreadable-one-holds-up-the-ready',
        'return cursor.unreadable ? this.putAside(list, item) : false;',
        'return false;',
        { specs: [UNREADABLE] },
      ],
    ],
  ),
  ...slipsIn(
    `${BROKER}/groups/dispatcher.ts`,
    'broker-delivery',
    [DELIVERY],
    [
      [
        'keys-run-side-by-side',
        "if (group.order === 'by-key' && !triage.enterLane(group, cursor, offset, block, position)) continue;\n",
        '',
        { specs: [ORDER] },
      ],
      [
        'a-lane-stays-taken',
        'triage.leaveLane(group, cursor, offset, block, position);\n        cursor.next = offset;',
        'cursor.next = offset;',
        { specs: [ORDER] },
      ],
      [
        'a-message-held-back-comes-twice',
        'if (cursor.heldBack.size > 0 && triage.isHeldBack(cursor, offset)) continue;\n      if (triage',
        'if (triage',
        { specs: [ORDER] },
      ],
      ['delivers-after-a-failed-write', 'if (this.host.journal.failed) return;\n', ''],
    ],
  ),
  ...slipsIn(
    `${BROKER}/groups/hand-over.ts`,
    'broker-delivery',
    [DELIVERY],
    [
      [
        'at-most-once-before-it-is-on-disk',
        'if (!isNoted && !member.atMostOnce && member.flushes === 0) {',
        'if (member.flushes === 0) {',
      ],
      ['what-kills-is-not-noted', 'this.host.noteUnderWay(delivery);\n', ''],
    ],
  ),
  ...slipsIn(
    `${BROKER}/groups/interests.ts`,
    'broker-rollout',
    [ROLLOUT],
    [
      [
        'own-dead-letters-by-a-wildcard',
        '&& topic !== deadLetterTopic(this.group)',
        '',
        { specs: [`${BROKER}/groups/interests.spec.ts`] },
      ],
      [
        'a-star-takes-retries-of-others',
        "if (isInternalTopic(topic) && !pattern.startsWith('%')) return false;\n",
        '',
        { specs: [`${BROKER}/groups/interests.spec.ts`] },
      ],
      ['every-member-takes-all', '(!filter.tags?.length || filter.tags.includes(tag))', 'topic'],
      ['is-forgotten-at-once', 'members > 0 || nowMs - abandonedAtMs < REMEMBERED_MS', 'members > 0'],
      ['is-never-forgotten', 'members > 0 || nowMs - abandonedAtMs < REMEMBERED_MS', 'members >= 0'],
      ['an-empty-group-forgets', 'for (const each of this.list) each.abandonedAtMs = nowMs;', ''],
      [
        'no-bound',
        'if (this.list.length < MAX_INTERESTS || this.find(filters)) return;',
        'if (filters) return;',
      ],
    ],
  ),
  ...slipsIn(
    `${BROKER}/groups/memberships.ts`,
    'broker-rollout',
    [ROLLOUT],
    [
      [
        'members-with-two-orders',
        'if (group.members.length > 0 && !alike(group, subscription)) {',
        'if (group.members.length < 0) {',
      ],
      [
        'what-a-lost-member-had-is-no-try',
        'if (isLost) this.leases.lose(',
        'if (had.length < 0) this.leases.lose(',
        { specs: [DELIVERY] },
      ],
      [
        'what-a-member-gave-back-is-a-try',
        "if (isLost) this.leases.lose(had, 'the connection",
        "if (had) this.leases.lose(had, 'the connection",
        { specs: [DELIVERY] },
      ],
      [
        'is-not-in-the-journal',
        'else this.host.commit(EntryType.INTERESTS, { groupId: group.id, interests: all });',
        'else group.takeInterest(all);',
      ],
    ],
  ),
  ...slipsIn(
    `${BROKER}/engine/snapshot.ts`,
    'broker-rollout',
    [ROLLOUT],
    [['is-not-in-a-snapshot', 'if (interests) group.takeInterest(interests);\n', '']],
  ),
  ...slipsIn(
    `${BROKER}/groups/settlements.ts`,
    'broker-delivery',
    [DELIVERY],
    [
      [
        'a-late-verdict-counts',
        'if (!consumer || !delivery) return false;',
        'if (!consumer || !delivery) return true;',
      ],
      [
        'a-retry-has-no-history',
        'const history = [...delivery.history, failed].slice(-MAX_HISTORY);',
        'const history = [failed];',
        { specs: [RETRIES] },
      ],
      [
        'a-retry-comes-at-once',
        'deliverAtMs: delayMs > 0 ? now + delayMs : 0,',
        'deliverAtMs: delayMs > 0 ? now : 0,',
        { specs: [RETRIES] },
      ],
      [
        'blocks-its-key-for-ever',
        "if (group.order === 'by-key' && delivery.tries.attempt > group.blockTimes) {",
        "if (group.order === 'by-key' && delivery.tries.attempt < 0) {",
        { specs: [ORDER] },
      ],
      [
        'the-next-of-a-key-never-comes',
        'this.pendingAcks.settle(delivery.cursor, delivery.offset);\n    delivery.leaveLane();',
        'this.pendingAcks.settle(delivery.cursor, delivery.offset);',
        { specs: [ORDER] },
      ],
      [
        'a-held-back-message-is-not-recorded',
        'recordHeldBack(this.host, delivery, { ...again, dueAtMs });\n',
        '',
        { specs: [ORDER] },
      ],
      [
        'a-lease-without-end',
        "if (settlement.verdict === 'extend') bounded('leaseMs', settlement.leaseMs, MAX_LEASE_MS);\n",
        '',
        { specs: [`${BROKER}/engine/arguments.int.spec.ts`] },
      ],
    ],
  ),
  ...slipsIn(
    `${BROKER}/groups/leases.ts`,
    'broker-delivery',
    [DELIVERY],
    [
      [
        'a-lost-lease-is-no-try',
        'attempt: tries.attempt + 1,\n    history: [...tries.history, failed]',
        'attempt: tries.attempt,\n    history: [...tries.history, failed]',
      ],
      ['nobody-is-a-suspect', 'const lost = tries.lost + 1;', 'const lost = 0;'],
    ],
  ),
  ...slipsIn(
    `${BROKER}/positions/pending-acks.ts`,
    'broker-delivery',
    [DELIVERY],
    [['an-ack-is-not-recorded', 'cursor.unrecorded.push(offset);\n', '']],
  ),
  ...slipsIn(
    `${BROKER}/positions/settled-window.ts`,
    'broker-delivery',
    [WINDOW],
    [
      [
        'no-bound',
        'return offset - this.base < MAX_RING || this.stragglers.size < MAX_STRAGGLERS;',
        'return offset >= 0;',
      ],
      ['settles-twice', 'if (this.isSettled(offset)) return false;\n', ''],
      ['forgets-who-stays-behind', 'return this.stragglers.values().next().value!;', 'return this.base;'],
    ],
  ),
  ...slipsIn(
    `${BROKER}/positions/cursor.ts`,
    'broker-delivery',
    [`${BROKER}/groups/group.spec.ts`],
    [
      ['stands-still-once-its-window-was-full', 'if (!this.queued) this.group.activate(this);\n', ''],
      [
        'tries-are-forgotten-with-the-order',
        'if (attempt > 1) this.heldBack.set(',
        'if (attempt < 0) this.heldBack.set(',
        { specs: [ORDER] },
      ],
      [
        'a-reset-keeps-old-tries',
        'this.heldBack.clear();\n    this.group',
        'this.group',
        { specs: [RETRIES] },
      ],
    ],
  ),
  ...slipsIn(
    `${BROKER}/positions/lanes.ts`,
    'broker-delivery',
    [LANES],
    [
      [
        'a-key-is-of-no-topic',
        'const lanes = this.byTopic.get(topic) ?? new',
        'topic = "";\n    const lanes = this.byTopic.get(topic) ?? new',
      ],
      [
        'whoever-is-done-frees-a-key',
        'if (!lanes || !lane || !isAt(lane[0], cursor, offset)) return undefined;',
        'if (!lanes || !lane) return undefined;',
      ],
    ],
  ),
  ...slipsIn(
    `${BROKER}/engine/ticker.ts`,
    'broker-delivery',
    [DELIVERY],
    [
      ['leases-never-end', 'work.leasesRanOut(member, leasesAsOfMs);', 'void member;'],
      [
        'retries-never-come',
        'for (const group of stores.groups.everyone()) group.releaseDue(now);\n',
        '',
        { specs: [ORDER] },
      ],
      [
        'nothing-is-given-up',
        'for (const group of stores.groups.all()) work.forgetInterests(group);\n',
        '',
        { specs: [ROLLOUT] },
      ],
    ],
  ),
  ...slipsIn(
    `${BROKER}/groups/reset-group.ts`,
    'broker-delivery',
    [DELIVERY],
    [['a-reset-leaves-what-waited', 'group.withdraw(({ cursor }) => targets.has(cursor));\n', '']],
  ),
];
