-- Takes the best callbacks of tenants that have hardly any in flight, as claim_spare.sql does: the first ?5 in order are looked at,
-- and of each tenant as many are taken as leave it with ?6 in flight.
UPDATE callbacks
   SET state = 'processing', stage = NULL, lease = lease + 1, attempt = attempt + 1, worker = ?1,
       -- It was not the next in order, and virtual time (callbacks_claimed) must not run past those that are.
       key = MIN(key, COALESCE((SELECT r.key FROM callbacks r WHERE r.stage = 1 ORDER BY r.key LIMIT 1), key)),
       lease_until = CAST(unixepoch('subsec') * 1000 AS INTEGER) + ?2
 WHERE id IN (SELECT id FROM (SELECT id, tenant, key, ROW_NUMBER() OVER (PARTITION BY tenant ORDER BY key, id) AS nth
                                FROM (SELECT id, tenant, key FROM callbacks WHERE stage = 1 ORDER BY key LIMIT (0 + ?5))) ready
               WHERE nth + (SELECT leased FROM flows f WHERE f.tenant = ready.tenant AND f.kind = 4 AND f.priority = 0) <= ?6
               ORDER BY key LIMIT (0 + ?3))
RETURNING id, lease, attempt, webhook_id, tenant, endpoint, message_id, ok, error_code, error_detail, error_permanent,
          finished_ms, key,
          (SELECT user_Id FROM Messages WHERE Id = callbacks.message_id),
          (SELECT type FROM Messages WHERE Id = callbacks.message_id),
          (SELECT request_url FROM Messages WHERE Id = callbacks.message_id),
          (SELECT webhook_secret FROM accounts a WHERE a.id = callbacks.tenant),
          (SELECT webhook_secret_before FROM accounts a WHERE a.id = callbacks.tenant
              AND a.webhook_rotated_ms > CAST(unixepoch('subsec') * 1000 AS INTEGER) - ?4)
