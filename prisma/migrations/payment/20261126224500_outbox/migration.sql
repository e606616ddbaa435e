-- Messages that were written with the change they are about, until the relay has sent them.
CREATE TABLE "outbox" (
    "id" BIGSERIAL NOT NULL,
    "shard" SMALLINT NOT NULL,
    "message_id" TEXT NOT NULL,
    "topic" TEXT NOT NULL,
    "tag" TEXT NOT NULL,
    "key" TEXT,
    "headers" JSONB NOT NULL,
    "options" JSONB NOT NULL,
    "body" BYTEA NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "refusals" INTEGER NOT NULL DEFAULT 0,
    "retry_at" TIMESTAMPTZ(3),
    "error" TEXT,
    "dead_at" TIMESTAMPTZ(3),

    CONSTRAINT "outbox_pkey" PRIMARY KEY ("id")
);

CREATE TABLE "outbox_shards" (
    "shard" SMALLINT NOT NULL,

    CONSTRAINT "outbox_shards_pkey" PRIMARY KEY ("shard")
);
-- As many as `OUTBOX_SHARDS` in libs/service-kit/src/outbox/prisma-outbox.ts.
INSERT INTO "outbox_shards" ("shard") SELECT generate_series(0, 15);

-- What Prisma's schema cannot say.
CREATE INDEX "outbox_living_idx" ON "outbox"("shard", "id") WHERE "dead_at" IS NULL;
CREATE INDEX "outbox_waiting_idx" ON "outbox"("key", "id") WHERE "retry_at" IS NOT NULL;
CREATE INDEX "outbox_dead_idx" ON "outbox"("dead_at") WHERE "dead_at" IS NOT NULL;
