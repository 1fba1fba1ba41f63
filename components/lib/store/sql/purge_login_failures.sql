DELETE FROM login_failures
 WHERE key IN (SELECT key FROM login_failures WHERE last_ms < CAST(unixepoch('subsec') * 1000 AS INTEGER) - ?1 LIMIT (0 + ?2))
RETURNING 1
