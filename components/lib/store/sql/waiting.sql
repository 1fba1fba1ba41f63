-- Which types have something to claim, alone or not.
SELECT k.kind
  FROM (SELECT 1 AS kind UNION ALL SELECT 2 UNION ALL SELECT 3) k
 WHERE EXISTS (SELECT 1 FROM Messages WHERE stage = 1 AND type = k.kind)
    OR EXISTS (SELECT 1 FROM Messages INDEXED BY messages_paced WHERE stage = 3 AND type = k.kind
                AND run_at <= CAST(unixepoch('subsec') * 1000 AS INTEGER))
 ORDER BY k.kind
