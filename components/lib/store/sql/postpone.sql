-- Gives a job back for ?3 ms, because a host that it was led to may not be asked sooner. The attempt was not used (release.sql). A place
-- of its own it gets when it comes due, as a retry does (fail.sql).
UPDATE Messages
   SET state = 'queued', stage = 2, run_at = CAST(unixepoch('subsec') * 1000 AS INTEGER) + ?3, slot = 0, lease_until = NULL,
       attempt = attempt - 1, key = MAX(key, (SELECT v FROM queues WHERE kind = Messages.type))
 WHERE Id = ?1 AND lease = ?2 AND state = 'processing'
RETURNING Id
