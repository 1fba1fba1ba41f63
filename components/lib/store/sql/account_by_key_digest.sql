-- The account, and whether the last use was long enough ago to be worth a write.
SELECT account, COALESCE(last_used_ms, 0) < CAST(unixepoch('subsec') * 1000 AS INTEGER) - ?2 FROM api_keys WHERE digest = ?1
