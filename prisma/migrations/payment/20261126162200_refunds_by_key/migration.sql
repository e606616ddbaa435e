-- The simulated provider's refunds, by the key that they were asked for with.
CREATE TABLE "provider_refunds" (
    "key" TEXT NOT NULL,
    "intent_id" TEXT NOT NULL,
    "amount_minor" BIGINT NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "provider_refunds_pkey" PRIMARY KEY ("key")
);
ALTER TABLE "provider_intents" ADD COLUMN "refunded_minor" BIGINT NOT NULL DEFAULT 0;

-- Webhooks that were taken without the usual effect, because sending them again would not help.
CREATE TABLE "webhook_anomalies" (
    "event_id" TEXT NOT NULL,
    "kind" TEXT NOT NULL,
    "type" TEXT,
    "payment_id" TEXT,
    "body" TEXT NOT NULL,
    "received_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "webhook_anomalies_pkey" PRIMARY KEY ("event_id")
);
CREATE INDEX "webhook_anomalies_received_at_idx" ON "webhook_anomalies"("received_at");

-- Refunds that were made before: each was the whole of its intent, under the id of the shop's refund.
UPDATE "provider_intents" SET "refunded_minor" = "amount_minor" WHERE "status" = 'REFUNDED';
INSERT INTO "provider_refunds" ("key", "intent_id", "amount_minor")
SELECT coalesce(r."id"::text, i."id"), i."id", i."amount_minor"
FROM "provider_intents" AS i LEFT JOIN "refunds" AS r ON r."payment_id" = i."reference"
WHERE i."status" = 'REFUNDED';
