-- Gives callbacks back; the attempt was not used.
UPDATE callbacks
   SET state = 'pending', stage = 0, slot = 0, lease_until = NULL, attempt = attempt - 1
  FROM json_each(?1) j
 WHERE callbacks.id = json_extract(j.value, '$[0]') AND callbacks.lease = json_extract(j.value, '$[1]')
   AND callbacks.state = 'processing'
RETURNING id
