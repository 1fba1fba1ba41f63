-- Extends the leases that are still ours. ?1 is [[id, lease], …].
UPDATE callbacks
   SET lease_until = CAST(unixepoch('subsec') * 1000 AS INTEGER) + ?2
  FROM json_each(?1) j
 WHERE callbacks.id = json_extract(j.value, '$[0]') AND callbacks.lease = json_extract(j.value, '$[1]')
   AND callbacks.state = 'processing'
RETURNING id
