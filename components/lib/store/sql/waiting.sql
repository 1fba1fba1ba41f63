-- Which types have something to claim, alone or not; and which will have, because the gap of a host is over within ?1 milliseconds.
-- is_alone: among it is something that was in flight when a worker died, which only claim_alone.sql takes.
SELECT kind, is_now,
       EXISTS (SELECT 1 FROM Messages WHERE stage = 1 AND type = w.kind AND (crash_count > 0) = 1)
       OR EXISTS (SELECT 1 FROM Messages INDEXED BY messages_paced WHERE stage = 3 AND type = w.kind
                   AND run_at <= CAST(unixepoch('subsec') * 1000 AS INTEGER) AND crash_count > 0) AS is_alone
  FROM (SELECT k.kind,
               EXISTS (SELECT 1 FROM Messages WHERE stage = 1 AND type = k.kind)
               OR EXISTS (SELECT 1 FROM Messages INDEXED BY messages_paced WHERE stage = 3 AND type = k.kind
                           AND run_at <= CAST(unixepoch('subsec') * 1000 AS INTEGER)) AS is_now
          FROM (SELECT 1 AS kind UNION ALL SELECT 2 UNION ALL SELECT 3) k) w
 WHERE is_now
    OR EXISTS (SELECT 1 FROM Messages INDEXED BY messages_paced WHERE stage = 3 AND type = w.kind
                AND run_at <= CAST(unixepoch('subsec') * 1000 AS INTEGER) + ?1)
 ORDER BY kind
