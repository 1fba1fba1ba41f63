DELETE FROM dead_requests
 WHERE id IN (SELECT id FROM (SELECT id, at_ms FROM dead_requests ORDER BY id LIMIT (0 + ?2))
               WHERE at_ms < CAST(unixepoch('subsec') * 1000 AS INTEGER) - ?1)
RETURNING 1
