INSERT INTO robots (authority, state, body, fetched_ms, expires_ms)
SELECT ?1, ?2, ?3, c.ms, c.ms + ?4 FROM (SELECT CAST(unixepoch('subsec') * 1000 AS INTEGER) AS ms) c WHERE true
ON CONFLICT (authority) DO UPDATE SET
  state = excluded.state, body = excluded.body, fetched_ms = excluded.fetched_ms, expires_ms = excluded.expires_ms
