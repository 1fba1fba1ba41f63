-- Sends the latest callback of a message again, with its webhook id and a fresh schedule. One that is being sent, or waits for its turn,
-- is replay_under_way.sql's, and nothing is sent to an endpoint that is disabled.
UPDATE callbacks
   SET state = 'pending', stage = 0, slot = 0, run_at = NULL, ended_ms = NULL, attempt = 0,
       key = MAX(key, (SELECT v FROM queues WHERE kind = 4))
 WHERE id = (SELECT MAX(c.id) FROM callbacks c JOIN Messages m ON m.Id = c.message_id
              WHERE c.message_id = ?1 AND m.tenant = ?2)
   AND (state IN ('delivered', 'failed') OR stage = 2)
   AND NOT EXISTS (SELECT 1 FROM endpoints e
                    WHERE e.tenant = callbacks.tenant AND e.url = callbacks.endpoint AND e.disabled_ms IS NOT NULL)
RETURNING id
