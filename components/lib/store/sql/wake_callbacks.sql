-- Callbacks whose next try came due enter their endpoint's backlog, at the present virtual time.
UPDATE callbacks SET stage = 0, run_at = NULL, key = MAX(key, (SELECT v FROM queues WHERE kind = 4))
 WHERE id IN (SELECT id FROM callbacks
               WHERE stage = 2 AND run_at <= CAST(unixepoch('subsec') * 1000 AS INTEGER) ORDER BY run_at LIMIT (0 + ?1))
RETURNING id
