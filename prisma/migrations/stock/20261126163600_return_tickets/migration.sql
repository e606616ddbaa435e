-- The rows that are there have passed the stricter check, so they need not be read again under a lock.
ALTER TABLE "ledger" DROP CONSTRAINT "ledger_movement_known";
ALTER TABLE "ledger"
    ADD CONSTRAINT "ledger_movement_known" CHECK ("movement" IN ('DEDUCT', 'CONFIRM', 'ROLLBACK', 'REACQUIRE', 'REFUSED', 'RETURN', 'SYNC')) NOT VALID;
