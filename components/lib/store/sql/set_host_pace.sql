-- An operator's word is not overridden by robots.txt. Nothing is written when nothing changes.
-- Whoever reads a robots.txt is about to fetch a page of the host: a gap that grows counts from now on, or the next start would
-- follow at once. An operator fetches nothing. What is given says whether that counts as a start.
INSERT INTO hosts (host, gap_ms, in_flight_max, source, next_at)
VALUES (?1, ?2, ?3, ?4, CASE WHEN ?4 = 'robots' AND ?2 > 0 THEN CAST(unixepoch('subsec') * 1000 AS INTEGER) + ?2 ELSE 0 END)
ON CONFLICT (host) DO UPDATE SET gap_ms = excluded.gap_ms, in_flight_max = excluded.in_flight_max, source = excluded.source,
       next_at = CASE WHEN excluded.gap_ms > COALESCE(gap_ms, 0) THEN MAX(next_at, excluded.next_at) ELSE next_at END
 WHERE (source <> 'operator' OR excluded.source = 'operator')
   AND (gap_ms IS NOT excluded.gap_ms OR in_flight_max IS NOT excluded.in_flight_max OR source <> excluded.source)
RETURNING ?4 = 'robots' AND next_at = CAST(unixepoch('subsec') * 1000 AS INTEGER) + ?2
