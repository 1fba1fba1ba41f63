-- robots.sql for several authorities, ?1 = ["https://a", …]: one read for all hosts of a claim.
SELECT state, body, fetched_ms, expires_ms, CAST(unixepoch('subsec') * 1000 AS INTEGER), authority
  FROM robots WHERE authority IN (SELECT value FROM json_each(?1))
