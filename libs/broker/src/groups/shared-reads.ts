import type { StoredMessage } from '#libs/messaging/port';
import type { Block } from '../journal/block.js';
import { copyMessage } from '../topics/read-message.js';

/** Blocks whose decoded messages are kept: groups that keep up with the log are within this distance of each other. */
const MAX_BLOCKS = 4;
/** Decoding a few large messages again costs less than keeping their blocks. */
const MAX_BLOCK_BYTES = 1024 * 1024;

/** By their places in the block, which are small integers as positions in the journal are not. */
type Decoded = { block: Block; messages: Map<number, StoredMessage> };

/**
 * Messages decoded for one group, for the other groups that read them soon after: with ten groups nine
 * of ten need not be decoded. Whoever looks at one gets a copy of it.
 */
export class SharedReads {
  private readonly kept: Decoded[] = [];

  read(block: Block, position: number, topic: string): StoredMessage {
    if (block.bytes.byteLength > MAX_BLOCK_BYTES) return copyMessage(block, position, topic);
    const messages = this.messagesOf(block);
    const place = position - block.start;
    let message = messages.get(place);
    if (message === undefined) {
      message = copyMessage(block, position, topic);
      messages.set(place, message);
    }
    return message;
  }

  private messagesOf(block: Block): Map<number, StoredMessage> {
    const { kept } = this;
    for (let i = kept.length - 1; i >= 0; i--) if (kept[i]!.block === block) return kept[i]!.messages;
    const messages = new Map<number, StoredMessage>();
    kept.push({ block, messages });
    if (kept.length > MAX_BLOCKS) kept.shift();
    return messages;
  }
}
