-- The same for callbacks, which will be sent again (put_back.sql). Claims from before one was asked for again count here too: it may wait
-- for the longest time at once.
UPDATE callbacks
   SET state = 'pending', stage = 2, slot = 0, lease_until = NULL,
       run_at = CAST(unixepoch('subsec') * 1000 AS INTEGER) + (?2 << MIN(?3, lease - MAX(attempt, 1))),
       attempt = MAX(attempt - 1, 0)
  FROM json_each(?1) j
 WHERE callbacks.id = json_extract(j.value, '$[0]') AND callbacks.lease = json_extract(j.value, '$[1]')
   AND callbacks.state = 'processing'
RETURNING id
