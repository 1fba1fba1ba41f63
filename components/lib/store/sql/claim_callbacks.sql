-- Takes the best callbacks. No more rows of an endpoint are ready than its slots allow, and none of one that is held back.
UPDATE callbacks
   SET state = 'processing', stage = NULL, lease = lease + 1, attempt = attempt + 1, worker = ?1,
       lease_until = CAST(unixepoch('subsec') * 1000 AS INTEGER) + ?2
 WHERE id IN (SELECT id FROM callbacks WHERE stage = 1 ORDER BY key LIMIT (0 + ?3))
RETURNING id, lease, attempt, webhook_id, tenant, endpoint, message_id, ok, error_code, error_detail, error_permanent,
          finished_ms, key,
          (SELECT user_Id FROM Messages WHERE Id = callbacks.message_id),
          (SELECT type FROM Messages WHERE Id = callbacks.message_id),
          (SELECT request_url FROM Messages WHERE Id = callbacks.message_id),
          (SELECT webhook_secret FROM accounts a WHERE a.id = callbacks.tenant),
          (SELECT webhook_secret_before FROM accounts a WHERE a.id = callbacks.tenant
              AND a.webhook_rotated_ms > CAST(unixepoch('subsec') * 1000 AS INTEGER) - ?4)
