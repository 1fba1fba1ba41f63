INSERT INTO dead_requests (at_ms, source, reason, body)
VALUES (CAST(unixepoch('subsec') * 1000 AS INTEGER), ?1, ?2, ?3)
