-- Puts messages with expired leases back, to be tried alone, or gives them up at the ?1-th crash. The expiry is tested in the
-- update itself: a lease that was extended in time is safe whatever the sweeper saw before. At most ?2 rows, so that a mass
-- crash does not hold the writer.
-- A lease that ended at 0 (expire.sql) died with a whole host, of something that one of many had a part in, if any: up to the ?3-th
-- claim the attempt does not count, nor do crashes before it, or a few kills in a row would make poison of pages that harmed nobody.
UPDATE Messages
   SET state = CASE WHEN r.crashes >= ?1 THEN 'failed' ELSE 'queued' END,
       stage = CASE WHEN r.crashes >= ?1 THEN NULL ELSE 0 END,
       finished_ms = CASE WHEN r.crashes >= ?1 THEN CAST(unixepoch('subsec') * 1000 AS INTEGER) END,
       error_code = CASE WHEN r.crashes >= ?1 THEN 'poison' ELSE error_code END,
       error_detail = CASE WHEN r.crashes >= ?1 THEN 'the workers that held this message died' ELSE error_detail END,
       error_permanent = CASE WHEN r.crashes >= ?1 THEN 1 ELSE error_permanent END,
       crash_count = r.crashes, attempt = attempt - r.is_forgiven, slot = 0, lease_until = NULL
  FROM (SELECT Id AS held, lease_until = 0 AND lease <= ?3 AS is_forgiven,
               CASE WHEN lease_until = 0 AND lease <= ?3 THEN 1 ELSE crash_count + 1 END AS crashes
          FROM Messages
         WHERE state = 'processing' AND lease_until < CAST(unixepoch('subsec') * 1000 AS INTEGER)
         ORDER BY lease_until LIMIT (0 + ?2)) r
 WHERE Messages.Id = r.held
RETURNING state
