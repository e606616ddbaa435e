-- CreateTable
CREATE TABLE "payments" (
    "id" UUID NOT NULL,
    "order_no" TEXT NOT NULL,
    "buyer_id" TEXT NOT NULL,
    "amount_minor" BIGINT NOT NULL,
    "currency" CHAR(3) NOT NULL,
    "status" TEXT NOT NULL,
    "intent_id" TEXT NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updated_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "payments_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "refunds" (
    "id" UUID NOT NULL,
    "payment_id" UUID NOT NULL,
    "order_no" TEXT NOT NULL,
    "amount_minor" BIGINT NOT NULL,
    "currency" CHAR(3) NOT NULL,
    "reason" TEXT NOT NULL,
    "status" TEXT NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updated_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "refunds_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "webhook_events" (
    "event_id" UUID NOT NULL,
    "payment_id" UUID NOT NULL,
    "type" TEXT NOT NULL,
    "received_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "webhook_events_pkey" PRIMARY KEY ("event_id")
);

-- CreateTable
CREATE TABLE "provider_intents" (
    "id" TEXT NOT NULL,
    "reference" UUID NOT NULL,
    "amount_minor" BIGINT NOT NULL,
    "currency" CHAR(3) NOT NULL,
    "status" TEXT NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "provider_intents_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "provider_webhooks" (
    "id" BIGSERIAL NOT NULL,
    "event_id" UUID NOT NULL,
    "body" TEXT NOT NULL,
    "due_at" TIMESTAMPTZ(3) NOT NULL,
    "attempts" INTEGER NOT NULL DEFAULT 0,
    "delivered_at" TIMESTAMPTZ(3),

    CONSTRAINT "provider_webhooks_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "inbox" (
    "consumer_group" TEXT NOT NULL,
    "message_id" TEXT NOT NULL,
    "handled_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "inbox_pkey" PRIMARY KEY ("consumer_group","message_id")
);

-- CreateIndex
CREATE INDEX "payments_order_no_idx" ON "payments"("order_no");

-- CreateIndex
CREATE UNIQUE INDEX "refunds_payment_id_key" ON "refunds"("payment_id");

-- CreateIndex
CREATE UNIQUE INDEX "provider_intents_reference_key" ON "provider_intents"("reference");

-- CreateIndex
CREATE INDEX "provider_webhooks_delivered_at_due_at_idx" ON "provider_webhooks"("delivered_at", "due_at");

-- CreateIndex
CREATE INDEX "inbox_handled_at_idx" ON "inbox"("handled_at");

-- AddForeignKey
ALTER TABLE "refunds" ADD CONSTRAINT "refunds_payment_id_fkey" FOREIGN KEY ("payment_id") REFERENCES "payments"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- What Prisma's schema cannot say.
CREATE UNIQUE INDEX "payments_one_pending_per_order" ON "payments"("order_no") WHERE "status" = 'PENDING';
CREATE INDEX "provider_webhooks_undelivered_idx" ON "provider_webhooks"("due_at") WHERE "delivered_at" IS NULL;
ALTER TABLE "payments"
    ADD CONSTRAINT "payments_status_known" CHECK ("status" IN ('PENDING', 'SUCCEEDED', 'FAILED')),
    ADD CONSTRAINT "payments_amount_sane" CHECK ("amount_minor" >= 0);
ALTER TABLE "refunds"
    ADD CONSTRAINT "refunds_status_known" CHECK ("status" IN ('REQUESTED', 'SUCCEEDED')),
    ADD CONSTRAINT "refunds_amount_sane" CHECK ("amount_minor" >= 0);
ALTER TABLE "provider_intents"
    ADD CONSTRAINT "provider_intents_status_known" CHECK ("status" IN ('OPEN', 'CAPTURED', 'DECLINED', 'REFUNDED'));
