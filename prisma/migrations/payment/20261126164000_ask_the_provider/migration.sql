-- When the provider was last asked about a payment of which it told nothing.
ALTER TABLE "payments" ADD COLUMN "asked_at" TIMESTAMPTZ(3);
