-- Null: the sale ends when the session begins. No default, so that no row is written anew.
ALTER TABLE "ticket_types" ADD COLUMN "sale_closes_at" TIMESTAMPTZ(3);

-- The order of the list of shows, by which it is paged. Shows are few, and selling writes none.
CREATE INDEX "shows_starts_at_id_idx" ON "shows"("starts_at", "id");
