-- A host asked to be left alone for ?4 ms, by its answer to the job ?1; a trigger takes back what might start. Only under the current
-- lease. It runs before fail.sql, so that the slot that comes free is not handed out; cut off between the two, the host is left alone
-- all the same. A shorter wish ends no longer one.
INSERT INTO hosts (host, paused_until)
SELECT ?3, CAST(unixepoch('subsec') * 1000 AS INTEGER) + ?4
  FROM Messages
 WHERE Id = ?1 AND lease = ?2 AND state = 'processing'
ON CONFLICT (host) DO UPDATE SET paused_until = MAX(COALESCE(paused_until, 0), excluded.paused_until)
