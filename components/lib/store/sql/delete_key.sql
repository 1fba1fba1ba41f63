DELETE FROM api_keys WHERE account = ?1 AND id = ?2 RETURNING id
