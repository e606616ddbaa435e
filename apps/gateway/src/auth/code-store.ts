import { Inject, Injectable } from '@nestjs/common';
import type { Redis } from 'ioredis';
import { readFileSync } from 'node:fs';
import { REDIS } from '#libs/service-kit';
import { digitsOf } from '../domain/phone.js';

/**
 * Wrong entries after which a code is void for the address that asked for it, and as many for all others together. Ten
 * in a million are the chance of everybody who guesses at a code; `SIGN_IN_CODES_PER_PHONE_PER_DAY` bounds the codes.
 */
const TRIES = 5;
/** Redis forgets the codes this long after their end, should the messages that delete them be late. */
const GRACE_MS = 60_000;

interface CodeScripts {
  checkCode(key: string, hash: string, nowMs: number, asker: string): Promise<string | null>;
  useCode(key: string, codeId: string): Promise<number>;
}

export type StoredCode = {
  codeId: string;
  /** E.164 */
  phone: string;
  hash: string;
  expiresAtMs: number;
  /** From where it was asked for: `laneOf`. */
  asker: string;
};

const script = (name: string): string => readFileSync(new URL(`./${name}.lua`, import.meta.url), 'utf8');

/** The sign-in codes of each phone, as hashes under a key. Several are good at once, so that asking anew voids none. */
@Injectable()
export class CodeStore {
  private readonly redis: Redis & CodeScripts;

  constructor(@Inject(REDIS) redis: Redis) {
    redis.defineCommand('checkCode', { numberOfKeys: 1, lua: script('check-code') });
    redis.defineCommand('useCode', { numberOfKeys: 1, lua: script('use-code') });
    this.redis = redis as Redis & CodeScripts;
  }

  async put({ codeId, phone, hash, expiresAtMs, asker }: StoredCode): Promise<void> {
    const key = keyOf(phone);
    const code = { hash, expiresAtMs, asker, askersTries: TRIES, othersTries: TRIES };
    await this.redis
      .multi()
      .hset(key, codeId, JSON.stringify(code))
      .pexpireat(key, expiresAtMs + GRACE_MS)
      .exec();
  }

  /** The id of the code that was entered, which stays good; undefined costs a try of each of the phone's codes. */
  async check(entered: {
    phone: string;
    hash: string;
    asker: string;
    nowMs: number;
  }): Promise<string | undefined> {
    const { phone, hash, asker, nowMs } = entered;
    return (await this.redis.checkCode(keyOf(phone), hash, nowMs, asker)) ?? undefined;
  }

  /** Uses up the code, and the phone's others. False when it was gone. */
  async use(phone: string, codeId: string): Promise<boolean> {
    return (await this.redis.useCode(keyOf(phone), codeId)) === 1;
  }

  /** False when it is gone already. */
  async forget(phone: string, codeId: string): Promise<boolean> {
    return (await this.redis.hdel(keyOf(phone), codeId)) === 1;
  }
}

const keyOf = (phone: string): string => `auth:codes:${digitsOf(phone)}`;
