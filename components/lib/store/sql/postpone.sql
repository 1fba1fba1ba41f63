-- Gives a job back, because a host that it was led to may not be asked for ?3 ms. The attempt was not used (release.sql). A place of its own
-- it gets when it comes due, as a retry does (fail.sql).
-- It comes due at some time after that, which ?6 draws, within that wait or within ?4 ms, if these are more; and these double each time
-- that it was given back before (a claim that no attempt counts), at most ?5 times. What it went through before its owner asked for it
-- again counts no more: its lease, which never falls, is counted from then on (retry.sql).
UPDATE Messages
   SET state = 'queued', stage = 2, slot = 0, lease_until = NULL,
       run_at = CAST(unixepoch('subsec') * 1000 AS INTEGER) + ?3 + ?6 % MAX(?3, ?4 << MIN(?5, lease - asked_lease - attempt)),
       attempt = attempt - 1, key = MAX(key, (SELECT v FROM queues WHERE kind = Messages.type))
 WHERE Id = ?1 AND lease = ?2 AND state = 'processing'
RETURNING Id
