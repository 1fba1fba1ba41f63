-- Rows whose host's gap is over become ready, in the order of the queue again. A claim takes them without waiting for this.
-- So do rows that lie further ahead than the gap of their host: they are left from before the clock was set back, and would keep
-- their hosts waiting until it has caught up. They lie at the far end; of each type the last ?1 are looked at.
UPDATE Messages SET stage = 1, run_at = NULL
 WHERE Id IN (
   SELECT Id FROM (SELECT Id FROM Messages
                    WHERE stage = 3 AND type IN (1, 2, 3) AND run_at <= CAST(unixepoch('subsec') * 1000 AS INTEGER) LIMIT (0 + ?1))
   UNION ALL
   SELECT far.Id
     FROM settings s
     CROSS JOIN (SELECT * FROM (SELECT Id, host, run_at FROM Messages INDEXED BY messages_paced
                                 WHERE stage = 3 AND type = 1 AND run_at > CAST(unixepoch('subsec') * 1000 AS INTEGER)
                                 ORDER BY run_at DESC LIMIT (0 + ?1))
                 UNION ALL
                 SELECT * FROM (SELECT Id, host, run_at FROM Messages INDEXED BY messages_paced
                                 WHERE stage = 3 AND type = 2 AND run_at > CAST(unixepoch('subsec') * 1000 AS INTEGER)
                                 ORDER BY run_at DESC LIMIT (0 + ?1))
                 UNION ALL
                 SELECT * FROM (SELECT Id, host, run_at FROM Messages INDEXED BY messages_paced
                                 WHERE stage = 3 AND type = 3 AND run_at > CAST(unixepoch('subsec') * 1000 AS INTEGER)
                                 ORDER BY run_at DESC LIMIT (0 + ?1))) far
     LEFT JOIN hosts h ON h.host = far.host
    WHERE far.run_at > CAST(unixepoch('subsec') * 1000 AS INTEGER) + COALESCE(h.gap_ms, s.host_gap_ms))
RETURNING Id
