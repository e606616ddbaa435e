import { createServer } from 'node:net';

/** Below the range from which the system takes the ports of outgoing connections: a broker that is down must find its own free again. */
const [LOWEST, HIGHEST] = [10_000, 30_000];
const TRIES = 50;

/** Ports of the loopback interface that were free a moment ago. */
export async function freePorts(count: number): Promise<number[]> {
  const ports = new Set<number>();
  for (let tries = 0; ports.size < count && tries < TRIES; tries++) {
    const port = LOWEST + Math.floor(Math.random() * (HIGHEST - LOWEST));
    if (await isFree(port)) ports.add(port);
  }
  if (ports.size < count) throw new Error(`no free port was found in ${TRIES} tries`);
  return [...ports];
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', () => resolve(false));
    probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)));
  });
}
