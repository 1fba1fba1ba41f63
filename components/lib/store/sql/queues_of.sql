-- Figures of one account, from its counters; the oldest waiting row is the first of an index range.
-- Rates are of the last sixty seconds: this minute, and of the one before as much as still lies in them.
SELECT k.kind, SUM(f.waiting), SUM(f.leased), SUM(f.delayed), SUM(f.dead),
       SUM(CASE f.minute WHEN clock.ms / 60000 THEN f.done + f.done_before * clock.rest_ms / 60000
           WHEN clock.ms / 60000 - 1 THEN f.done * clock.rest_ms / 60000 ELSE 0 END),
       SUM(CASE f.minute WHEN clock.ms / 60000 THEN f.added + f.added_before * clock.rest_ms / 60000
           WHEN clock.ms / 60000 - 1 THEN f.added * clock.rest_ms / 60000 ELSE 0 END),
       (clock.ms - MIN(CASE WHEN f.waiting + f.delayed > 0 AND f.kind <= 3 THEN
          (SELECT added_ms FROM Messages WHERE finished_ms IS NULL AND tenant = f.tenant AND type = f.kind AND state = 'queued'
            ORDER BY Id LIMIT 1)
        WHEN f.waiting + f.delayed > 0 THEN
          (SELECT finished_ms FROM callbacks WHERE ended_ms IS NULL AND tenant = f.tenant AND state = 'pending' ORDER BY id LIMIT 1)
        END)) / 1000
  FROM queues k
  JOIN (SELECT ms, 60000 - ms % 60000 AS rest_ms FROM (SELECT CAST(unixepoch('subsec') * 1000 AS INTEGER) AS ms)) clock
  LEFT JOIN flows f ON f.tenant = ?1 AND f.kind = k.kind
 GROUP BY k.kind ORDER BY k.kind
