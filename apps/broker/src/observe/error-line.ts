/** An error's message on one line. */
export const errorLine = (error: unknown): string =>
  (error instanceof Error ? error.message : String(error)).replaceAll('\n', '; ');
