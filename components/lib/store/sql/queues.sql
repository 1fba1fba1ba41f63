-- Figures of everybody, from the totals. Only the oldest waiting row asks each flow that has rows waiting or delayed, by an index of
-- those: flows are kept for ever, and most have nothing. Rates as in queues_of.sql.
SELECT k.kind, k.waiting, k.leased, k.delayed, k.dead,
       CASE k.minute WHEN clock.ms / 60000 THEN k.done + k.done_before * clock.rest_ms / 60000 WHEN clock.ms / 60000 - 1 THEN k.done * clock.rest_ms / 60000 ELSE 0 END,
       CASE k.minute WHEN clock.ms / 60000 THEN k.added + k.added_before * clock.rest_ms / 60000 WHEN clock.ms / 60000 - 1 THEN k.added * clock.rest_ms / 60000 ELSE 0 END,
       (clock.ms - o.oldest_ms) / 1000
  FROM queues k
  JOIN (SELECT ms, 60000 - ms % 60000 AS rest_ms FROM (SELECT CAST(unixepoch('subsec') * 1000 AS INTEGER) AS ms)) clock
  LEFT JOIN (SELECT f.kind, MIN(CASE WHEN f.kind <= 3 THEN
          (SELECT added_ms FROM Messages WHERE finished_ms IS NULL AND tenant = f.tenant AND type = f.kind AND state = 'queued'
            ORDER BY Id LIMIT 1)
        ELSE
          (SELECT finished_ms FROM callbacks WHERE ended_ms IS NULL AND tenant = f.tenant AND state = 'pending' ORDER BY id LIMIT 1)
        END) AS oldest_ms
               FROM (SELECT kind, tenant FROM flows WHERE waiting > 0
                     UNION
                     SELECT kind, tenant FROM flows WHERE delayed > 0) f GROUP BY f.kind) o ON o.kind = k.kind
 ORDER BY k.kind
