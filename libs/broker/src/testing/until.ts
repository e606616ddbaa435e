/** Waits until `condition` holds; fails loudly, naming `what` was awaited, when it does not within `timeoutMs`. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  what = condition.toString(),
  timeoutMs = 15_000,
): Promise<void> {
  const deadlineMs = performance.now() + timeoutMs;
  while (!(await condition())) {
    if (performance.now() > deadlineMs) throw new Error(`not within ${timeoutMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}
