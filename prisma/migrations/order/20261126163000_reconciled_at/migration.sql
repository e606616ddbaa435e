-- When the reconciliation last dealt with the order; null for nearly all. No default, so that no row is written anew.
ALTER TABLE "orders" ADD COLUMN "reconciled_at" TIMESTAMPTZ(3);
