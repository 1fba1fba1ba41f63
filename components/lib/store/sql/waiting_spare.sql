-- Whether claim_spare.sql would find something, with the same draw: a read, so that it can be asked often.
SELECT EXISTS (
   SELECT 1
     FROM (SELECT tenant FROM (SELECT tenant FROM flows WHERE kind = ?1 AND waiting > 0
                                AND tenant >= ?4 % (1 + (SELECT MAX(tenant) FROM flows)) GROUP BY tenant
                             HAVING (SELECT SUM(leased) FROM flows f WHERE f.tenant = flows.tenant AND f.kind = ?1) < ?3
                              LIMIT (0 + ?2))
           UNION
           SELECT tenant FROM (SELECT tenant FROM flows WHERE kind = ?1 AND waiting > 0 GROUP BY tenant
                             HAVING (SELECT SUM(leased) FROM flows f WHERE f.tenant = flows.tenant AND f.kind = ?1) < ?3
                              LIMIT (0 + ?2))) quiet
     JOIN Messages m ON m.Id IN (SELECT * FROM (SELECT Id FROM Messages
                                                 WHERE finished_ms IS NULL AND tenant = quiet.tenant AND type = ?1
                                                 ORDER BY Id LIMIT (0 + ?2))
                                 UNION ALL
                                 SELECT * FROM (SELECT Id FROM Messages
                                                 WHERE finished_ms IS NULL AND tenant = quiet.tenant AND type = ?1
                                                 ORDER BY Id DESC LIMIT (0 + ?2)))
    WHERE (m.stage = 1 OR (m.stage = 3 AND m.run_at <= CAST(unixepoch('subsec') * 1000 AS INTEGER))) AND m.crash_count = 0)
