import { writeFileSync } from 'node:fs';

/** Jest's reporter of a sandbox: notes the first test that failed, and ends the run with all that it has started. */
export default class FirstFailure {
  onTestCaseResult(_test, { status, fullName }) {
    if (status !== 'failed') return;
    writeFileSync(process.env.FIRST_FAILURE_FILE, fullName);
    // The sandbox gave the run a group of its own.
    process.kill(0, 'SIGKILL');
  }
}
