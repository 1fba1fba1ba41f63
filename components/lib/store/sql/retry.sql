-- Queues a finished message again. It pays its fair share like a new one (submit.sql); the trigger on stage hands it a slot.
UPDATE Messages
   SET state = 'queued', stage = 0, run_at = NULL, attempt = 0, crash_count = 0, finished_ms = NULL,
       error_code = NULL, error_detail = NULL, error_permanent = NULL,
       key = MAX((SELECT v FROM queues WHERE kind = Messages.type),
                 COALESCE((SELECT MAX(f.finish) FROM flows f
                            WHERE f.tenant = Messages.tenant AND f.kind = Messages.type AND f.priority >= Messages.priority), 0))
             + (9 - priority) * 0.01
 WHERE Id = ?1 AND tenant = ?2 AND state IN ('done', 'failed', 'cancelled')
RETURNING Id
