-- A gap that becomes shorter is still a gap. The next start, fixed by the longer one, lay further ahead than the new one is long, which is
-- how one looks that is left from before the clock was set back: it was skipped, and two starts followed each other at once.

-- As hosts_fill of 0003, which it replaces; and first the next start is drawn as near as the new pace allows it, counted from now on, since
-- nobody knows when the last one was. In a trigger, for whoever changes a pace, and so that set_host_pace.sql does not take that for a
-- gap that it began: what it gives back is from before its triggers. While both of them are there, what the other one handed out is
-- taken back, or stays as it was handed out here.
CREATE TRIGGER IF NOT EXISTS hosts_fill_in_time AFTER UPDATE OF in_flight_max, gap_ms ON hosts
BEGIN
  UPDATE hosts
     SET next_at = CAST(unixepoch('subsec') * 1000 AS INTEGER) + COALESCE(gap_ms, (SELECT host_gap_ms FROM settings))
   WHERE host = NEW.host
     AND next_at > CAST(unixepoch('subsec') * 1000 AS INTEGER) + COALESCE(gap_ms, (SELECT host_gap_ms FROM settings));
  UPDATE Messages SET stage = 0, slot = 0, run_at = NULL WHERE host = NEW.host AND slot = 1 AND state = 'queued';
  INSERT INTO host_fill VALUES (NEW.host);
END;
-- ;;
DROP TRIGGER IF EXISTS hosts_fill;
