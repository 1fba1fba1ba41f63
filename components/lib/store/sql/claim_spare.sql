-- Takes the best rows of tenants that have hardly anything of this type in flight, while the others have all usual slots.
-- Whoever has not much in flight stands first in the order of the queue, so the first ?6 rows are enough to look at, and the
-- cost does not depend on what waits. A row that waits for its host's gap is left to the usual claim.
UPDATE Messages
   SET state = 'processing', stage = NULL, run_at = NULL, lease = lease + 1, attempt = attempt + 1, worker = ?2,
       lease_until = CAST(unixepoch('subsec') * 1000 AS INTEGER) + ?3,
       deadline_at = CAST(unixepoch('subsec') * 1000 AS INTEGER) + ?4
 WHERE Id IN (
   SELECT Id FROM (SELECT Id, tenant, key FROM Messages WHERE stage = 1 AND type = ?1 AND (crash_count > 0) = 0
                    ORDER BY key LIMIT (0 + ?6)) ready
    WHERE (SELECT COALESCE(SUM(leased), 0) FROM flows f WHERE f.tenant = ready.tenant AND f.kind = ?1) < ?7
    ORDER BY key LIMIT (0 + ?5))
RETURNING Id, lease, attempt, tenant, user_Id, request_url, host, type, mode, selector, max_age_s, crash_count, deadline_at, key
