-- Takes one row that was in flight when a worker died, so that it can harm nobody but itself.
UPDATE Messages
   SET state = 'processing', stage = NULL, run_at = NULL, lease = lease + 1, attempt = attempt + 1, worker = ?2,
       -- It was not the next in order, and virtual time (messages_claimed) must not run past those that are.
       key = MIN(key, COALESCE((SELECT r.key FROM Messages r WHERE r.stage = 1 AND r.type = ?1 AND (r.crash_count > 0) = 0
                                 ORDER BY r.key LIMIT 1), key)),
       lease_until = CAST(unixepoch('subsec') * 1000 AS INTEGER) + ?3,
       deadline_at = CAST(unixepoch('subsec') * 1000 AS INTEGER) + ?4
 WHERE Id IN (
   SELECT Id FROM (
     SELECT Id, key FROM (SELECT Id, key FROM Messages WHERE stage = 1 AND type = ?1 AND (crash_count > 0) = 1
                           ORDER BY key LIMIT 1)
     UNION ALL
     SELECT Id, key FROM (SELECT Id, key FROM Messages WHERE stage = 3 AND type = ?1 AND crash_count > 0
                             AND run_at <= CAST(unixepoch('subsec') * 1000 AS INTEGER) ORDER BY run_at LIMIT 1))
    ORDER BY key LIMIT 1)
RETURNING Id, lease, attempt, tenant, user_Id, request_url, host, type, mode, selector, max_age_s, crash_count, deadline_at, key
