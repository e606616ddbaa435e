/** How many of each kind, and the first of each in words. */
export type Violations<Kind extends string> = Partial<Record<Kind, { count: number; examples: string[] }>>;
export type Report<Kind extends string> = (kind: Kind, detail: string) => void;

const MAX_EXAMPLES = 10;

/** What a checker found. */
export class Findings<Kind extends string> {
  readonly violations: Violations<Kind> = {};

  get ok(): boolean {
    return Object.keys(this.violations).length === 0;
  }

  readonly report: Report<Kind> = (kind, detail) => {
    const known = (this.violations[kind] ??= { count: 0, examples: [] });
    known.count += 1;
    if (known.examples.length < MAX_EXAMPLES) known.examples.push(detail);
  };
}

/** For a terminal: each kind with its meaning and its examples. */
export function violationLines<Kind extends string>(
  violations: Violations<Kind>,
  meanings: Readonly<Record<Kind, string>>,
): string[] {
  return (Object.keys(violations) as Kind[]).flatMap((kind) => {
    const { count, examples } = violations[kind] ?? { count: 0, examples: [] };
    return [
      `VIOLATION ${kind} (${meanings[kind]}): ${count}`,
      ...examples.map((example) => `    ${example}`),
    ];
  });
}
