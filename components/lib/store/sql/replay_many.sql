-- replay.sql for the ids in ?1; the state is tested again here.
UPDATE callbacks
   SET state = 'pending', stage = 0, slot = 0, run_at = NULL, ended_ms = NULL, attempt = 0,
       key = MAX(key, (SELECT v FROM queues WHERE kind = 4))
 WHERE id IN (SELECT value FROM json_each(?1)) AND (state IN ('delivered', 'failed') OR stage = 2)
   AND NOT EXISTS (SELECT 1 FROM endpoints e
                    WHERE e.tenant = callbacks.tenant AND e.url = callbacks.endpoint AND e.disabled_ms IS NOT NULL)
RETURNING id
