SELECT state, body, fetched_ms, expires_ms, CAST(unixepoch('subsec') * 1000 AS INTEGER) FROM robots WHERE authority = ?1
