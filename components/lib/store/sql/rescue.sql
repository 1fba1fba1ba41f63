-- Puts messages with expired leases back, to be tried alone, or gives them up at the ?1-th crash. The expiry is tested in the
-- update itself: a lease that was extended in time is safe whatever the sweeper saw before. At most ?2 rows, so that a mass
-- crash does not hold the writer.
UPDATE Messages
   SET state = CASE WHEN crash_count + 1 >= ?1 THEN 'failed' ELSE 'queued' END,
       stage = CASE WHEN crash_count + 1 >= ?1 THEN NULL ELSE 0 END,
       finished_ms = CASE WHEN crash_count + 1 >= ?1 THEN CAST(unixepoch('subsec') * 1000 AS INTEGER) END,
       error_code = CASE WHEN crash_count + 1 >= ?1 THEN 'poison' ELSE error_code END,
       error_detail = CASE WHEN crash_count + 1 >= ?1 THEN 'the workers that held this message died' ELSE error_detail END,
       error_permanent = CASE WHEN crash_count + 1 >= ?1 THEN 1 ELSE error_permanent END,
       crash_count = crash_count + 1, slot = 0, lease_until = NULL
 WHERE Id IN (SELECT Id FROM Messages
               WHERE state = 'processing' AND lease_until < CAST(unixepoch('subsec') * 1000 AS INTEGER)
               ORDER BY lease_until LIMIT (0 + ?2))
RETURNING state
