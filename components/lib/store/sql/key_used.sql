-- Tested again, so that many requests at once leave one write.
UPDATE api_keys SET last_used_ms = CAST(unixepoch('subsec') * 1000 AS INTEGER)
 WHERE digest = ?1 AND COALESCE(last_used_ms, 0) < CAST(unixepoch('subsec') * 1000 AS INTEGER) - ?2
