-- Payments that are there already count as answered, without a row being written anew: a default that is the same for
-- all rows is kept once. One that is captured later is unanswered again, because `updated_at` is then the later one.
ALTER TABLE "payments"
    ADD COLUMN "answered_at" TIMESTAMPTZ(3) DEFAULT CURRENT_TIMESTAMP,
    ADD COLUMN "reconciled_at" TIMESTAMPTZ(3);
ALTER TABLE "payments" ALTER COLUMN "answered_at" DROP DEFAULT;
