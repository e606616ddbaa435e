-- CreateTable
CREATE TABLE "orders" (
    "order_no" TEXT NOT NULL,
    "buyer_id" TEXT NOT NULL,
    "ticket_type_id" TEXT NOT NULL,
    "quantity" INTEGER NOT NULL,
    "total_minor" BIGINT NOT NULL,
    "currency" CHAR(3) NOT NULL,
    "status" TEXT NOT NULL,
    "payment_id" UUID,
    "history" JSONB NOT NULL,
    "pay_before" TIMESTAMPTZ(3),
    "created_at" TIMESTAMPTZ(3) NOT NULL,
    "updated_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "orders_pkey" PRIMARY KEY ("order_no")
);

-- CreateIndex
CREATE INDEX "orders_buyer_id_created_at_order_no_idx" ON "orders"("buyer_id", "created_at" DESC, "order_no");

-- CreateIndex
CREATE INDEX "orders_status_pay_before_idx" ON "orders"("status", "pay_before");

-- CreateIndex
CREATE INDEX "orders_ticket_type_id_status_idx" ON "orders"("ticket_type_id", "status");

-- What Prisma's schema cannot say.
ALTER TABLE "orders"
    ADD CONSTRAINT "orders_status_known" CHECK ("status" IN ('PENDING_PAYMENT', 'PAID', 'CANCELLED', 'REFUNDING', 'REFUNDED', 'REJECTED')),
    ADD CONSTRAINT "orders_amounts_sane" CHECK ("quantity" > 0 AND "total_minor" >= 0);
