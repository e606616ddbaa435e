import { type AddressInfo, type Server, type Socket, connect, createServer } from 'node:net';
import type { ISocketFactory } from 'kafkajs';

/** Kafka's number of a Produce request. */
const PRODUCE = 0;

/**
 * A TCP proxy before a Kafka node that loses answers to Produce requests as a network does: the node has stored the messages,
 * and nobody hears of it.
 */
export class ProduceProxy {
  private answersToDrop = 0;
  /** Answers that were dropped so far. */
  dropped = 0;
  private isCut = false;
  private readonly sockets = new Set<Socket>();

  private constructor(
    private readonly server: Server,
    private readonly node: { host: string; port: number },
  ) {
    server.on('connection', (client) => this.relay(client));
  }

  static async before(node: string): Promise<ProduceProxy> {
    const [host = '', port = ''] = node.split(':');
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return new ProduceProxy(server, { host, port: Number(port) });
  }

  /** Leads a client here, wherever the node says that it is to be found. */
  readonly socketFactory: ISocketFactory = ({ onConnect }) => {
    const { port } = this.server.address() as AddressInfo;
    return connect({ host: '127.0.0.1', port, noDelay: true }, onConnect);
  };

  dropAnswers(count: number): void {
    this.answersToDrop = count;
  }

  /** The network is gone, until `mend`. */
  cut(): void {
    this.isCut = true;
    for (const socket of this.sockets) socket.destroy();
  }

  mend(): void {
    this.isCut = false;
  }

  async close(): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    await new Promise((resolve) => this.server.close(resolve));
  }

  private relay(client: Socket): void {
    if (this.isCut) return void client.destroy();
    const node = connect({ ...this.node, noDelay: true });
    const produces = new Set<number>();
    const toNode = frames((frame) => {
      if (frame.readInt16BE(4) === PRODUCE) produces.add(frame.readInt32BE(8));
      node.write(frame);
    });
    const toClient = frames((frame) => {
      if (produces.delete(frame.readInt32BE(4)) && this.answersToDrop > 0) {
        this.answersToDrop--;
        this.dropped++;
        return;
      }
      client.write(frame);
    });
    client.on('data', toNode);
    node.on('data', toClient);
    for (const [socket, other] of [
      [client, node],
      [node, client],
    ] as const) {
      this.sockets.add(socket);
      socket.on('error', () => other.destroy());
      socket.on('close', () => {
        this.sockets.delete(socket);
        other.destroy();
      });
    }
  }
}

/** Cuts a stream into Kafka's frames, each with its four bytes of length. */
function frames(onFrame: (frame: Buffer) => void): (chunk: Buffer) => void {
  let rest = Buffer.alloc(0);
  return (chunk) => {
    rest = Buffer.concat([rest, chunk]);
    while (rest.length >= 4 && rest.length >= 4 + rest.readInt32BE(0)) {
      const end = 4 + rest.readInt32BE(0);
      onFrame(rest.subarray(0, end));
      rest = rest.subarray(end);
    }
  };
}
