-- Figures of one account, from its counters; the oldest waiting row is the first of an index range.
-- Rates are of the last full minute, whichever of the two kept minutes that is.
SELECT k.kind, SUM(f.waiting), SUM(f.leased), SUM(f.delayed), SUM(f.dead),
       SUM(CASE f.minute WHEN clock.ms / 60000 THEN f.done_before WHEN clock.ms / 60000 - 1 THEN f.done ELSE 0 END),
       SUM(CASE f.minute WHEN clock.ms / 60000 THEN f.added_before WHEN clock.ms / 60000 - 1 THEN f.added ELSE 0 END),
       (clock.ms - MIN(CASE WHEN f.waiting + f.delayed > 0 AND f.kind <= 3 THEN
          (SELECT added_ms FROM Messages WHERE finished_ms IS NULL AND tenant = f.tenant AND type = f.kind AND state = 'queued'
            ORDER BY Id LIMIT 1)
        WHEN f.waiting + f.delayed > 0 THEN
          (SELECT finished_ms FROM callbacks WHERE ended_ms IS NULL AND tenant = f.tenant AND state = 'pending' ORDER BY id LIMIT 1)
        END)) / 1000
  FROM queues k
  JOIN (SELECT CAST(unixepoch('subsec') * 1000 AS INTEGER) AS ms) clock
  LEFT JOIN flows f ON f.tenant = ?1 AND f.kind = k.kind
 GROUP BY k.kind ORDER BY k.kind
