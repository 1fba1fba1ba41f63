-- Puts callbacks with expired leases back; an attempt that nobody reported counts, so a callback that kills its workers
-- ends after ?1 attempts. The expiry is tested in the update itself.
UPDATE callbacks
   SET state = CASE WHEN attempt >= ?1 THEN 'failed' ELSE 'pending' END,
       stage = CASE WHEN attempt >= ?1 THEN NULL ELSE 0 END,
       ended_ms = CASE WHEN attempt >= ?1 THEN CAST(unixepoch('subsec') * 1000 AS INTEGER) END,
       slot = 0, lease_until = NULL
 WHERE id IN (SELECT id FROM callbacks
               WHERE state = 'processing' AND lease_until < CAST(unixepoch('subsec') * 1000 AS INTEGER)
               ORDER BY lease_until LIMIT (0 + ?2))
RETURNING state
