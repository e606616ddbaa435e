-- When the money was captured, by the provider's clock; nobody knows it of payments that are there already.
ALTER TABLE "payments" ADD COLUMN "captured_at" TIMESTAMPTZ(3);
ALTER TABLE "provider_intents" ADD COLUMN "captured_at" TIMESTAMPTZ(3);
