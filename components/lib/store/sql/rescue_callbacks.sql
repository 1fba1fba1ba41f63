-- Puts callbacks with expired leases back; an attempt that nobody reported counts, so a callback that kills its workers
-- ends after ?1 attempts. The expiry is tested in the update itself. An attempt that died with a whole host (expire_callbacks.sql)
-- does not count up to the ?3-th claim: it may never have been made. None counts that was asked for again (replay_under_way.sql).
UPDATE callbacks
   SET state = CASE WHEN r.attempts >= ?1 THEN 'failed' ELSE 'pending' END,
       stage = CASE WHEN r.attempts >= ?1 THEN NULL ELSE 0 END,
       ended_ms = CASE WHEN r.attempts >= ?1 THEN CAST(unixepoch('subsec') * 1000 AS INTEGER) END,
       attempt = r.attempts, slot = 0, lease_until = NULL
  FROM (SELECT id AS held, MAX(attempt - (lease_until = 0 AND lease <= ?3), 0) AS attempts
          FROM callbacks
         WHERE state = 'processing' AND lease_until < CAST(unixepoch('subsec') * 1000 AS INTEGER)
         ORDER BY lease_until LIMIT (0 + ?2)) r
 WHERE callbacks.id = r.held
RETURNING state
