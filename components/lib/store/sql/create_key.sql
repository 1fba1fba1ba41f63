-- Counted in the statement, so that of many at once no more pass than may; then there is no row.
INSERT INTO api_keys (account, name, digest, created_ms)
SELECT ?1, ?2, ?3, CAST(unixepoch('subsec') * 1000 AS INTEGER)
 WHERE (SELECT COUNT(*) FROM api_keys WHERE account = ?1) < ?4
RETURNING id
