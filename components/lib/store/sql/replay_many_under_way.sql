-- replay_under_way.sql for the ids in ?1, but for those at the beginning of their schedule; the state is tested again here.
UPDATE callbacks SET attempt = 0
 WHERE id IN (SELECT value FROM json_each(?1)) AND (state = 'processing' OR stage IN (0, 1)) AND attempt > 0
   AND NOT EXISTS (SELECT 1 FROM endpoints e
                    WHERE e.tenant = callbacks.tenant AND e.url = callbacks.endpoint AND e.disabled_ms IS NOT NULL)
RETURNING id
