-- CreateIndex
CREATE INDEX "mailbox_received_at_idx" ON "mailbox"("received_at");
