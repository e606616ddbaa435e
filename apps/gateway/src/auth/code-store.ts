import { Inject, Injectable } from '@nestjs/common';
import type { Redis } from 'ioredis';
import { readFileSync } from 'node:fs';
import { REDIS } from '#libs/service-kit';
import { digitsOf } from '../domain/phone-identity.js';

/** Wrong entries after which a code is void: a guesser's chance is 5 in a million per code. */
const TRIES_PER_CODE = 5;
/** Redis forgets the code this long after its end, should the message that deletes it be late. */
const GRACE_MS = 60_000;

interface CodeScripts {
  checkCode(key: string, hash: string, nowMs: number): Promise<number>;
  forgetCode(key: string, codeId: string): Promise<number>;
}

export type StoredCode = { codeId: string; phone: string; hash: string; expiresAtMs: number };
export type CodeCheck = 'right' | 'wrong' | 'none';

const script = (name: string): string => readFileSync(new URL(`./${name}.lua`, import.meta.url), 'utf8');

/** One sign-in code per phone, as a hash under a key. A new one replaces the old. */
@Injectable()
export class CodeStore {
  private readonly redis: Redis & CodeScripts;

  constructor(@Inject(REDIS) redis: Redis) {
    redis.defineCommand('checkCode', { numberOfKeys: 1, lua: script('check-code') });
    redis.defineCommand('forgetCode', { numberOfKeys: 1, lua: script('forget-code') });
    this.redis = redis as Redis & CodeScripts;
  }

  async put({ codeId, phone, hash, expiresAtMs }: StoredCode): Promise<void> {
    const key = keyOf(phone);
    await this.redis
      .multi()
      .hset(key, { codeId, hash, expiresAtMs, triesLeft: TRIES_PER_CODE })
      .pexpireat(key, expiresAtMs + GRACE_MS)
      .exec();
  }

  /** A right code is used up by the check. */
  async check(phone: string, hash: string, nowMs: number): Promise<CodeCheck> {
    const answer = await this.redis.checkCode(keyOf(phone), hash, nowMs);
    if (answer === 1) return 'right';
    return answer === 0 ? 'wrong' : 'none';
  }

  /** False when the code is gone or has been replaced. */
  async forget(phone: string, codeId: string): Promise<boolean> {
    return (await this.redis.forgetCode(keyOf(phone), codeId)) === 1;
  }
}

const keyOf = (phone: string): string => `auth:code:${digitsOf(phone)}`;
