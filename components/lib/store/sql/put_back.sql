-- Gives jobs back whose outcome could not be written down: their pages will be fetched again, so they come due after ?2 ms, doubled for each
-- time that they were given back before, at most ?3 times (postpone.sql). The attempt was not used (release.sql).
UPDATE Messages
   SET state = 'queued', stage = 2, slot = 0, lease_until = NULL,
       run_at = CAST(unixepoch('subsec') * 1000 AS INTEGER) + (?2 << MIN(?3, lease - asked_lease - attempt)),
       attempt = attempt - 1, key = MAX(Messages.key, (SELECT v FROM queues WHERE kind = Messages.type))
  FROM json_each(?1) j
 WHERE Messages.Id = json_extract(j.value, '$[0]') AND Messages.lease = json_extract(j.value, '$[1]')
   AND Messages.state = 'processing'
RETURNING Id
