-- Hosts that were not started on for a while and have no pace by an operator: what their row says is what no row says, or what their
-- robots.txt says again when they are next started on. Not one that is paused: its rows wait for the end of the pause, which is here.
DELETE FROM hosts
 WHERE host IN (SELECT host FROM hosts WHERE host > (SELECT at FROM purge_marks WHERE what = 'hosts') ORDER BY host LIMIT (0 + ?2))
   AND (source = 'robots' OR (gap_ms IS NULL AND in_flight_max IS NULL))
   AND paused_until IS NULL
   AND next_at < CAST(unixepoch('subsec') * 1000 AS INTEGER) - ?1
RETURNING 1
