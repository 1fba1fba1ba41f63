-- The latest callback of a message is asked for again while it is being sent, or waits for its turn: should the attempt fail, a fresh
-- schedule begins, also when it was the last one (deliver.sql). Attempt 0 says so; none that is being sent has that number otherwise.
-- Nothing is sent to an endpoint that is disabled.
UPDATE callbacks SET attempt = 0
 WHERE id = (SELECT MAX(c.id) FROM callbacks c JOIN Messages m ON m.Id = c.message_id
              WHERE c.message_id = ?1 AND m.tenant = ?2)
   AND (state = 'processing' OR stage IN (0, 1))
   AND NOT EXISTS (SELECT 1 FROM endpoints e
                    WHERE e.tenant = callbacks.tenant AND e.url = callbacks.endpoint AND e.disabled_ms IS NOT NULL)
RETURNING id
