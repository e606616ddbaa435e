import type { Verdict } from '#libs/contracts';

/** The rows of the verdict's table, in its order. */
export const CHECK_NAMES = [
  'no-oversell',
  'conservation',
  'no-undersell',
  'no-lost-order',
  'money-equals-tickets',
  'effects-once',
  'terms',
  'quiet',
] as const;
export type CheckName = (typeof CHECK_NAMES)[number];

/** One rule of a check, and what breaks it. Nothing does when `count` is 0. */
export type Finding = {
  check: CheckName;
  /** For programs; stays the same when the words change. */
  rule: string;
  /** What the counted things are, in the plural: `PAID orders without a payment`. */
  says: string;
  count: number;
  /** The first `MAX_EXAMPLES` of them: ids, or an id with the numbers that differ. */
  examples: readonly string[];
};

export const MAX_EXAMPLES = 20;
/** Examples that the text names; `findings` has more. */
const MAX_NAMED = 3;

/** Gathers things one by one, however many, and keeps the first few. */
export class Gathered {
  private readonly byRule = new Map<string, Finding & { examples: string[] }>();

  add(
    rule: Pick<Finding, 'check' | 'rule' | 'says'>,
    examples: readonly string[],
    count = examples.length,
  ): void {
    const known = this.byRule.get(rule.rule) ?? { ...rule, count: 0, examples: [] };
    this.byRule.set(rule.rule, known);
    known.count += count;
    known.examples.push(...examples.slice(0, MAX_EXAMPLES - known.examples.length));
  }

  get findings(): Finding[] {
    return [...this.byRule.values()];
  }
}

/**
 * A check holds when no rule of it is broken. `notes` is what a check that holds has looked at, and what it could
 * not compare. Every check is there, so that one failure does not hide another.
 */
export function verdictOn(findings: readonly Finding[], notes: Readonly<Record<CheckName, string>>): Verdict {
  const checks = CHECK_NAMES.map((name) => {
    const broken = findings.filter(({ check, count }) => check === name && count > 0);
    if (broken.length === 0) return { name, ok: true, detail: notes[name] };
    return {
      name,
      ok: false,
      detail: broken.map(inWords).join('; '),
      findings: broken.map(({ rule, count, examples }) => ({ rule, count, examples: [...examples] })),
    };
  });
  return { ok: checks.every(({ ok }) => ok), checks };
}

function inWords({ says, count, examples }: Finding): string {
  const named = examples.slice(0, MAX_NAMED).join(', ');
  return `${count} ${says} (${named}${count > MAX_NAMED ? ', …' : ''})`;
}
