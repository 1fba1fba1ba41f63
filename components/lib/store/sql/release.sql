-- Gives jobs back. The attempt was not used; the lease stays as it is, and the next claim raises it.
UPDATE Messages
   SET state = 'queued', stage = 0, slot = 0, lease_until = NULL, attempt = attempt - 1
  FROM json_each(?1) j
 WHERE Messages.Id = json_extract(j.value, '$[0]') AND Messages.lease = json_extract(j.value, '$[1]')
   AND Messages.state = 'processing'
RETURNING Id
