-- A start at a host that no claim took (take_start.sql) puts off the row that may start there next; it was armed for a time before that,
-- or for one that lies far ahead since the clock was set back. After a claim there is none: a gap allows one such row, and that was claimed.
CREATE TRIGGER IF NOT EXISTS hosts_started AFTER UPDATE OF next_at ON hosts
WHEN NEW.next_at <> OLD.next_at AND NEW.next_at > CAST(unixepoch('subsec') * 1000 AS INTEGER)
 AND EXISTS (SELECT 1 FROM Messages WHERE host = NEW.host AND slot = 1 AND state = 'queued')
BEGIN
  UPDATE Messages SET stage = 3, run_at = NEW.next_at WHERE host = NEW.host AND slot = 1 AND state = 'queued';
END;
-- ;;
CREATE TRIGGER IF NOT EXISTS hosts_started_new AFTER INSERT ON hosts
WHEN NEW.next_at > CAST(unixepoch('subsec') * 1000 AS INTEGER)
 AND EXISTS (SELECT 1 FROM Messages WHERE host = NEW.host AND slot = 1 AND state = 'queued')
BEGIN
  UPDATE Messages SET stage = 3, run_at = NEW.next_at WHERE host = NEW.host AND slot = 1 AND state = 'queued';
END;
