-- Takes the best rows of a type. Both candidates are short index ranges: ready rows by key, and rows whose host's gap is
-- over by time; neither holds more rows of a host than its slots, so the cost does not depend on what waits.
-- Rows that were in flight when a worker died are left to claim_alone.sql. RETURNING has no order: the caller sorts by key.
UPDATE Messages
   SET state = 'processing', stage = NULL, run_at = NULL, lease = lease + 1, attempt = attempt + 1, worker = ?2,
       lease_until = CAST(unixepoch('subsec') * 1000 AS INTEGER) + ?3,
       deadline_at = CAST(unixepoch('subsec') * 1000 AS INTEGER) + ?4
 WHERE Id IN (
   SELECT Id FROM (
     SELECT Id, key FROM (SELECT Id, key FROM Messages WHERE stage = 1 AND type = ?1 AND (crash_count > 0) = 0
                           ORDER BY key LIMIT (0 + ?5))
     UNION ALL
     SELECT Id, key FROM (SELECT Id, key FROM Messages WHERE stage = 3 AND type = ?1 AND crash_count = 0
                             AND run_at <= CAST(unixepoch('subsec') * 1000 AS INTEGER) ORDER BY run_at LIMIT (0 + ?5)))
    ORDER BY key LIMIT (0 + ?5))
RETURNING Id, lease, attempt, tenant, user_Id, request_url, host, type, mode, selector, max_age_s, crash_count, deadline_at, key
