-- ?1 is [[authority, state, ttl in ms, offset, length], …]; the bodies stand end to end in ?2, since JSON cannot hold bytes.
-- COALESCE: what is cut out of nothing is NULL.
INSERT INTO robots (authority, state, body, fetched_ms, expires_ms)
SELECT json_extract(j.value, '$[0]'), json_extract(j.value, '$[1]'),
       COALESCE(substr(?2, json_extract(j.value, '$[3]') + 1, json_extract(j.value, '$[4]')), x''), c.ms, c.ms + json_extract(j.value, '$[2]')
  FROM json_each(?1) j, (SELECT CAST(unixepoch('subsec') * 1000 AS INTEGER) AS ms) c
 WHERE true
ON CONFLICT (authority) DO UPDATE SET
  state = excluded.state, body = excluded.body, fetched_ms = excluded.fetched_ms, expires_ms = excluded.expires_ms
