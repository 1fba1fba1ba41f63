UPDATE accounts
   SET webhook_secret_before = webhook_secret, webhook_secret = ?2,
       webhook_rotated_ms = CAST(unixepoch('subsec') * 1000 AS INTEGER)
 WHERE id = ?1
RETURNING webhook_secret, webhook_secret_before
