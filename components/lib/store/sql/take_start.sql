-- Takes a start at a host that no claim took: for a page that a redirect led to there, and for one that waited for its host's robots.txt
-- together with others. No row when it is too early. A start that lies further ahead than the gap is left from before the clock was
-- set back.
INSERT INTO hosts (host, next_at)
SELECT ?1, CAST(unixepoch('subsec') * 1000 AS INTEGER) + COALESCE((SELECT gap_ms FROM hosts WHERE host = ?1), host_gap_ms)
  FROM settings
 WHERE true
ON CONFLICT (host) DO UPDATE SET next_at = excluded.next_at
 WHERE (next_at <= CAST(unixepoch('subsec') * 1000 AS INTEGER) OR next_at > excluded.next_at)
   AND COALESCE(paused_until, 0) <= CAST(unixepoch('subsec') * 1000 AS INTEGER)
RETURNING 1
