-- Enables an endpoint; its record is wiped, and the trigger hands out slots to what was kept.
UPDATE endpoints
   SET disabled_ms = NULL, throttled_until = NULL, first_failure_ms = NULL, failing_days = 0, last_failure_day = NULL
 WHERE tenant = ?1 AND url = ?2 AND disabled_ms IS NOT NULL
RETURNING 1
