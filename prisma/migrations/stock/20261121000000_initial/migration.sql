-- CreateTable
CREATE TABLE "shows" (
    "id" TEXT NOT NULL,
    "title" TEXT NOT NULL,
    "venue" TEXT NOT NULL,
    "starts_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "shows_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "sessions" (
    "id" TEXT NOT NULL,
    "show_id" TEXT NOT NULL,
    "starts_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "sessions_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "ticket_types" (
    "id" TEXT NOT NULL,
    "session_id" TEXT NOT NULL,
    "name" TEXT NOT NULL,
    "price_minor" BIGINT NOT NULL,
    "currency" CHAR(3) NOT NULL,
    "quantity" INTEGER NOT NULL,
    "sold" INTEGER NOT NULL DEFAULT 0,
    "per_user_limit" INTEGER NOT NULL,
    "sale_opens_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "ticket_types_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "ledger" (
    "id" BIGSERIAL NOT NULL,
    "order_no" TEXT NOT NULL,
    "ticket_type_id" TEXT NOT NULL,
    "buyer_id" TEXT NOT NULL,
    "movement" TEXT NOT NULL,
    "quantity" INTEGER NOT NULL,
    "at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "ledger_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "inbox" (
    "consumer_group" TEXT NOT NULL,
    "message_id" TEXT NOT NULL,
    "handled_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "inbox_pkey" PRIMARY KEY ("consumer_group","message_id")
);

-- CreateIndex
CREATE INDEX "sessions_show_id_idx" ON "sessions"("show_id");

-- CreateIndex
CREATE INDEX "ticket_types_session_id_idx" ON "ticket_types"("session_id");

-- CreateIndex
CREATE INDEX "ledger_ticket_type_id_order_no_idx" ON "ledger"("ticket_type_id", "order_no");

-- CreateIndex
CREATE UNIQUE INDEX "ledger_order_no_movement_key" ON "ledger"("order_no", "movement");

-- CreateIndex
CREATE INDEX "inbox_handled_at_idx" ON "inbox"("handled_at");

-- AddForeignKey
ALTER TABLE "sessions" ADD CONSTRAINT "sessions_show_id_fkey" FOREIGN KEY ("show_id") REFERENCES "shows"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "ticket_types" ADD CONSTRAINT "ticket_types_session_id_fkey" FOREIGN KEY ("session_id") REFERENCES "sessions"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- What Prisma's schema cannot say. The first is the last line against selling a ticket twice: even a
-- statement that forgets its condition cannot take `sold` past `quantity`.
ALTER TABLE "ticket_types"
    ADD CONSTRAINT "ticket_types_not_oversold" CHECK ("sold" BETWEEN 0 AND "quantity"),
    ADD CONSTRAINT "ticket_types_terms_sane" CHECK ("quantity" > 0 AND "price_minor" >= 0 AND "per_user_limit" > 0);
ALTER TABLE "ledger"
    ADD CONSTRAINT "ledger_movement_known" CHECK ("movement" IN ('DEDUCT', 'CONFIRM', 'ROLLBACK', 'REACQUIRE', 'REFUSED', 'SYNC'));
