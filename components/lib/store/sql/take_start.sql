-- Takes a start at a host that no claim took: for a page that a redirect led to there, and for one that waited for its host's robots.txt
-- together with others. No row when it is too early, or when the last one was such a start too and a row of the host waits for its turn.
-- A start that lies further ahead than the gap is left from before the clock was set back.
-- Told is how many of its own rows the host may have in flight: whoever starts there without a slot keeps to it too.
INSERT INTO hosts (host, next_at, was_visited)
SELECT ?1, CAST(unixepoch('subsec') * 1000 AS INTEGER) + gap_ms, gap_ms > 0
  FROM (SELECT COALESCE((SELECT gap_ms FROM hosts WHERE host = ?1), host_gap_ms) AS gap_ms FROM settings)
 WHERE true
ON CONFLICT (host) DO UPDATE SET next_at = excluded.next_at, was_visited = excluded.was_visited
 WHERE (next_at <= CAST(unixepoch('subsec') * 1000 AS INTEGER) OR next_at > excluded.next_at)
   AND COALESCE(paused_until, 0) <= CAST(unixepoch('subsec') * 1000 AS INTEGER)
   AND NOT (was_visited AND EXISTS (SELECT 1 FROM Messages WHERE host = ?1 AND slot = 1 AND state = 'queued'))
RETURNING COALESCE(in_flight_max, (SELECT host_in_flight_max FROM settings))
