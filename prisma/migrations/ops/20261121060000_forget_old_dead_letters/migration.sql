-- CreateIndex
CREATE INDEX "dead_letters_resolved_at_idx" ON "dead_letters"("resolved_at");
