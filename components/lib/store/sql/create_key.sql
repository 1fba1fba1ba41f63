INSERT INTO api_keys (account, name, digest, created_ms)
VALUES (?1, ?2, ?3, CAST(unixepoch('subsec') * 1000 AS INTEGER))
RETURNING id
