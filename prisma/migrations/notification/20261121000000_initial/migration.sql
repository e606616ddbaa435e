-- CreateTable
CREATE TABLE "deliveries" (
    "id" UUID NOT NULL,
    "subject_id" TEXT NOT NULL,
    "kind" TEXT NOT NULL,
    "channel" TEXT NOT NULL,
    "recipient" TEXT NOT NULL,
    "text" TEXT NOT NULL,
    "status" TEXT NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "sent_at" TIMESTAMPTZ(3),

    CONSTRAINT "deliveries_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "mailbox" (
    "message_id" TEXT NOT NULL,
    "sender" TEXT NOT NULL,
    "recipient" TEXT NOT NULL,
    "subject" TEXT NOT NULL,
    "text" TEXT NOT NULL,
    "html" TEXT,
    "received_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "mailbox_pkey" PRIMARY KEY ("message_id")
);

-- CreateTable
CREATE TABLE "inbox" (
    "consumer_group" TEXT NOT NULL,
    "message_id" TEXT NOT NULL,
    "handled_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "inbox_pkey" PRIMARY KEY ("consumer_group","message_id")
);

-- CreateIndex
CREATE INDEX "deliveries_recipient_created_at_idx" ON "deliveries"("recipient", "created_at");

-- CreateIndex
CREATE UNIQUE INDEX "deliveries_subject_id_kind_channel_key" ON "deliveries"("subject_id", "kind", "channel");

-- CreateIndex
CREATE INDEX "mailbox_recipient_received_at_idx" ON "mailbox"("recipient", "received_at");

-- CreateIndex
CREATE INDEX "inbox_handled_at_idx" ON "inbox"("handled_at");

-- What Prisma's schema cannot say.
ALTER TABLE "deliveries"
    ADD CONSTRAINT "deliveries_channel_known" CHECK ("channel" IN ('sms', 'email', 'push')),
    ADD CONSTRAINT "deliveries_status_known" CHECK ("status" IN ('PENDING', 'SENT'));
