-- Gives up (?6 is null) or tries again after ?6 ms. A retry gets its place when it comes due (messages_refill); where nobody waits for
-- its host it keeps this one, at the present virtual time and not at its old one.
UPDATE Messages
   SET state = CASE WHEN ?6 IS NULL THEN 'failed' ELSE 'queued' END,
       stage = CASE WHEN ?6 IS NULL THEN NULL ELSE 2 END,
       run_at = CAST(unixepoch('subsec') * 1000 AS INTEGER) + ?6,
       finished_ms = CASE WHEN ?6 IS NULL THEN CAST(unixepoch('subsec') * 1000 AS INTEGER) END,
       slot = 0, lease_until = NULL,
       key = MAX(key, (SELECT v FROM queues WHERE kind = Messages.type)),
       error_code = ?3, error_detail = ?4, error_permanent = ?5
 WHERE Id = ?1 AND lease = ?2 AND state = 'processing'
RETURNING Id
