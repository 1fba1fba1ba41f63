-- Gives callbacks back; the attempt was not used. One that was asked for again meanwhile is at 0 already (replay_under_way.sql).
UPDATE callbacks
   SET state = 'pending', stage = 0, slot = 0, lease_until = NULL, attempt = MAX(attempt - 1, 0)
  FROM json_each(?1) j
 WHERE callbacks.id = json_extract(j.value, '$[0]') AND callbacks.lease = json_extract(j.value, '$[1]')
   AND callbacks.state = 'processing'
RETURNING id
