DELETE FROM robots
 WHERE authority IN (SELECT authority FROM robots WHERE expires_ms < CAST(unixepoch('subsec') * 1000 AS INTEGER) - ?1 LIMIT (0 + ?2))
RETURNING 1
