-- Extends the leases that are still ours, never past a job's deadline. ?1 is [[id, lease], …].
UPDATE Messages
   SET lease_until = MIN(deadline_at, CAST(unixepoch('subsec') * 1000 AS INTEGER) + ?2)
  FROM json_each(?1) j
 WHERE Messages.Id = json_extract(j.value, '$[0]') AND Messages.lease = json_extract(j.value, '$[1]')
   AND Messages.state = 'processing'
RETURNING Id
