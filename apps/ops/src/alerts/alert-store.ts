import { randomUUID } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { PrismaClient, type Alert } from '#prisma/ops';
import type { Breach } from '../domain/alert.js';

/** More than there are groups and a day has anomalies, unless a provider has gone mad: the newest are told. */
const MAX_FIRING = 1_000;

/** Alerts, at most one firing per name: the partial unique index decides between two that raise it at once. */
@Injectable()
export class AlertStore {
  constructor(private readonly prisma: PrismaClient) {}

  /** The new alert; undefined when it fires already, whose numbers are then brought up to date. */
  async raise(breach: Breach): Promise<Alert | undefined> {
    const id = randomUUID();
    const inserted = await this.prisma.$executeRaw`
      INSERT INTO alerts (id, name, detail, count, threshold)
      VALUES (${id}::uuid, ${breach.name}, ${breach.detail}, ${breach.count}, ${breach.threshold})
      ON CONFLICT (name) WHERE resolved_at IS NULL DO NOTHING`;
    if (inserted === 1) return this.prisma.alert.findUniqueOrThrow({ where: { id } });
    await this.prisma.alert.updateMany({
      where: { name: breach.name, resolvedAt: null },
      data: { detail: breach.detail, count: breach.count, threshold: breach.threshold },
    });
    return undefined;
  }

  /** The alert of something that happened once: raised by the first call of that name, and undefined once it is resolved. */
  async raiseOnce(breach: Breach): Promise<Alert | undefined> {
    await this.prisma.$executeRaw`
      INSERT INTO alerts (id, name, detail, count, threshold)
      SELECT ${randomUUID()}::uuid, ${breach.name}, ${breach.detail}, ${breach.count}, ${breach.threshold}
      WHERE NOT EXISTS (SELECT 1 FROM alerts WHERE name = ${breach.name})
      ON CONFLICT (name) WHERE resolved_at IS NULL DO NOTHING`;
    const firing = await this.prisma.alert.findFirst({ where: { name: breach.name, resolvedAt: null } });
    return firing ?? undefined;
  }

  /** Ends those of that prefix that have fired for so long. */
  async resolveOld(prefix: string, ageMs: number): Promise<Alert[]> {
    const firedAt = { lt: new Date(Date.now() - ageMs) };
    return this.prisma.alert.updateManyAndReturn({
      where: { name: { startsWith: prefix }, resolvedAt: null, firedAt },
      data: { resolvedAt: new Date() },
    });
  }

  /** The alert that this call ended; undefined when none fires under that name. */
  async resolve(name: string): Promise<Alert | undefined> {
    const [alert] = await this.prisma.alert.updateManyAndReturn({
      where: { name, resolvedAt: null },
      data: { resolvedAt: new Date() },
    });
    return alert;
  }

  /** Newest first, at most `MAX_FIRING`. */
  firing(): Promise<Alert[]> {
    return this.prisma.alert.findMany({
      where: { resolvedAt: null },
      orderBy: { firedAt: 'desc' },
      take: MAX_FIRING,
    });
  }

  /** Resolved ones, the last to be resolved first. */
  recent(limit: number): Promise<Alert[]> {
    return this.prisma.alert.findMany({
      where: { resolvedAt: { not: null } },
      orderBy: { resolvedAt: 'desc' },
      take: limit,
    });
  }
}
