-- Queues a finished message again, unless a limit forbids one more that is not finished. It pays its fair share like a new one
-- (submit.sql); the trigger on stage hands it a slot, or a place in its host's backlog.
UPDATE Messages
   SET state = 'queued', stage = 0, run_at = NULL, attempt = 0, crash_count = 0, finished_ms = NULL,
       -- What it went through before counts no more (line_up_in_turns): the lease itself must never fall.
       asked_lease = lease,
       error_code = NULL, error_detail = NULL, error_permanent = NULL,
       -- One that has to wait pays when its host has a slot for it (messages_armed): this key leaves the account's finish as it is.
       key = CASE WHEN EXISTS (SELECT 1 FROM Messages w WHERE w.host = Messages.host AND w.stage = 0)
             THEN (SELECT f.finish - f.charge FROM flows f
                    WHERE f.tenant = Messages.tenant AND f.kind = Messages.type AND f.priority = Messages.priority)
             ELSE MAX((SELECT v FROM queues WHERE kind = Messages.type),
                      COALESCE((SELECT MAX(f.finish) FROM flows f
                                 WHERE f.tenant = Messages.tenant AND f.kind = Messages.type AND f.priority >= Messages.priority), 0))
                  + (9 - priority) * 0.01 END
 WHERE Id = ?1 AND tenant = ?2 AND state IN ('done', 'failed', 'cancelled')
   AND (SELECT COALESCE(SUM(waiting + delayed + leased), 0) FROM flows WHERE tenant = ?2 AND kind <= 3) < ?3
   AND (SELECT SUM(waiting + delayed + leased) FROM queues WHERE kind <= 3) < ?4
RETURNING Id
