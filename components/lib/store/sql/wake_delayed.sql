-- Retries that came due enter their host's backlog; the trigger hands out slots.
UPDATE Messages SET stage = 0, run_at = NULL
 WHERE Id IN (SELECT Id FROM Messages
               WHERE stage = 2 AND run_at <= CAST(unixepoch('subsec') * 1000 AS INTEGER) ORDER BY run_at LIMIT (0 + ?1))
RETURNING Id
