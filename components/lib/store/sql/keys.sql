SELECT id, name, created_ms, last_used_ms FROM api_keys WHERE account = ?1 ORDER BY id
