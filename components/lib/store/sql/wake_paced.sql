-- Rows whose host's gap is over become ready, in the order of the queue again. A claim takes them without waiting for this.
UPDATE Messages SET stage = 1, run_at = NULL
 WHERE Id IN (SELECT Id FROM Messages
               WHERE stage = 3 AND type IN (1, 2, 3) AND run_at <= CAST(unixepoch('subsec') * 1000 AS INTEGER) LIMIT (0 + ?1))
RETURNING Id
