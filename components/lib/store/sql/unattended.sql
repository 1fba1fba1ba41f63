-- What a worker rings for beside its own queue: callbacks that can be claimed (4), and types that have something to claim while
-- nobody works on them. A host's slots are shared by the types, so one type's end may let another type's row start.
SELECT k.kind
  FROM (SELECT 1 AS kind UNION ALL SELECT 2 UNION ALL SELECT 3) k
 WHERE (SELECT leased FROM queues WHERE kind = k.kind) = 0
   AND (EXISTS (SELECT 1 FROM Messages WHERE stage = 1 AND type = k.kind)
        OR EXISTS (SELECT 1 FROM Messages INDEXED BY messages_paced WHERE stage = 3 AND type = k.kind
                    AND run_at <= CAST(unixepoch('subsec') * 1000 AS INTEGER)))
UNION ALL
SELECT 4 WHERE EXISTS (SELECT 1 FROM callbacks WHERE stage = 1)
