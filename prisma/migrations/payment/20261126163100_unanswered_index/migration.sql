-- A handful of rows at any time: a payment leaves it when its order has answered.
CREATE INDEX CONCURRENTLY IF NOT EXISTS "payments_unanswered_idx" ON "payment"."payments"("updated_at")
    WHERE "status" = 'SUCCEEDED' AND ("answered_at" IS NULL OR "answered_at" < "updated_at");
