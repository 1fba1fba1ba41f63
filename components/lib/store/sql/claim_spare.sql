-- Takes the best rows of tenants that have hardly anything of this type in flight, while the others have all usual slots.
-- The tenants are found by their counters, not by the order of the queue: rows of one account that waited behind their hosts
-- keep their old places, and hundreds of them may stand before a new row. ?6 such tenants are looked at from a drawn one on (?8),
-- and ?6 from the first on, so that none is passed over for ever while many wait for nothing but their hosts; of each the ?6
-- oldest unfinished rows and the ?6 newest, since the oldest may all wait for one host that is slow, or for a retry: a new page of another
-- host is not to wait with them. The cost does not depend on what waits. Of each as many are taken as leave it with ?7 in flight: a
-- tenant with nothing in flight must not get all of them at once.
UPDATE Messages
   SET state = 'processing', stage = NULL, run_at = NULL, lease = lease + 1, attempt = attempt + 1, worker = ?2,
       -- It was not the next in order, and virtual time (messages_claimed) must not run past those that are.
       key = MIN(key, COALESCE((SELECT r.key FROM Messages r WHERE r.stage = 1 AND r.type = ?1 AND (r.crash_count > 0) = 0
                                 ORDER BY r.key LIMIT 1), key)),
       lease_until = CAST(unixepoch('subsec') * 1000 AS INTEGER) + ?3,
       deadline_at = CAST(unixepoch('subsec') * 1000 AS INTEGER) + ?4
 WHERE Id IN (
   SELECT Id FROM (
     SELECT m.Id, m.key, quiet.in_flight + ROW_NUMBER() OVER (PARTITION BY quiet.tenant ORDER BY m.key, m.Id) AS in_flight
       FROM (SELECT tenant, (SELECT SUM(leased) FROM flows f WHERE f.tenant = found.tenant AND f.kind = ?1) AS in_flight
               FROM (SELECT tenant FROM (SELECT tenant FROM flows WHERE kind = ?1 AND waiting > 0
                                            AND tenant >= ?8 % (1 + (SELECT MAX(tenant) FROM flows)) GROUP BY tenant
                                         HAVING (SELECT SUM(leased) FROM flows f WHERE f.tenant = flows.tenant AND f.kind = ?1) < ?7
                                          LIMIT (0 + ?6))
                     UNION
                     SELECT tenant FROM (SELECT tenant FROM flows WHERE kind = ?1 AND waiting > 0 GROUP BY tenant
                                         HAVING (SELECT SUM(leased) FROM flows f WHERE f.tenant = flows.tenant AND f.kind = ?1) < ?7
                                          LIMIT (0 + ?6))) found) quiet
       JOIN Messages m ON m.Id IN (SELECT * FROM (SELECT Id FROM Messages
                                                   WHERE finished_ms IS NULL AND tenant = quiet.tenant AND type = ?1
                                                   ORDER BY Id LIMIT (0 + ?6))
                                   UNION ALL
                                   SELECT * FROM (SELECT Id FROM Messages
                                                   WHERE finished_ms IS NULL AND tenant = quiet.tenant AND type = ?1
                                                   ORDER BY Id DESC LIMIT (0 + ?6)))
      WHERE (m.stage = 1 OR (m.stage = 3 AND m.run_at <= CAST(unixepoch('subsec') * 1000 AS INTEGER))) AND m.crash_count = 0)
    WHERE in_flight <= ?7
    ORDER BY key LIMIT (0 + ?5))
RETURNING Id, lease, attempt, tenant, user_Id, request_url, host, type, mode, selector, max_age_s, crash_count, deadline_at, key
