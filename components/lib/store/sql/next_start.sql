-- In how many milliseconds a host may be started again.
SELECT MAX(next_at, COALESCE(paused_until, 0)) - CAST(unixepoch('subsec') * 1000 AS INTEGER) FROM hosts WHERE host = ?1
