import { createServer } from 'node:net';

/** A port that was free a moment ago. Another process may take it first, so whoever uses it has to be ready to ask again. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  const address = server.address();
  await new Promise<void>((resolve) => server.close(() => resolve()));
  if (address === null || typeof address === 'string') throw new Error('no port was assigned');
  return address.port;
}

/** Runs `start` on free ports until one of them was not taken meanwhile. */
export async function onFreePort<Server>(start: (port: number) => Promise<Server>): Promise<Server> {
  const attempts = 3;
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await start(await freePort());
    } catch (error) {
      if (attempt === attempts) throw error;
    }
  }
}
