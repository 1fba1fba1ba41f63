-- Withdraws a message at any moment before its end. A worker that holds it finds its lease stale.
UPDATE Messages
   SET state = 'cancelled', stage = NULL, run_at = NULL, slot = 0, lease_until = NULL,
       finished_ms = CAST(unixepoch('subsec') * 1000 AS INTEGER)
 WHERE Id = ?1 AND tenant = ?2 AND state IN ('queued', 'processing')
RETURNING Id
