-- Starts at a host that no claim took (take_start.sql) and those of its own rows take turns. Who waits for the former asks again in the
-- very moment in which there may be one, and a claim comes some milliseconds later: a stream of pages that redirect to a host left its
-- own rows hardly any start.

-- The last start was none of a claim, and there is a gap, so that the next one may be waited for.
ALTER TABLE hosts ADD COLUMN was_visited INTEGER NOT NULL DEFAULT 0;
-- ;;
-- As messages_pace of 0003, which it replaces; and the turn of the host's own rows is over.
CREATE TRIGGER IF NOT EXISTS messages_pace_turn AFTER UPDATE OF state ON Messages
WHEN NEW.state = 'processing'
 AND (SELECT COALESCE((SELECT gap_ms FROM hosts WHERE host = NEW.host), host_gap_ms) FROM settings) > 0
BEGIN
  INSERT INTO hosts (host, next_at)
  SELECT NEW.host, CAST(unixepoch('subsec') * 1000 AS INTEGER)
                   + (SELECT COALESCE((SELECT gap_ms FROM hosts WHERE host = NEW.host), host_gap_ms) FROM settings)
  WHERE true
  ON CONFLICT (host) DO UPDATE SET next_at = excluded.next_at, was_visited = 0;
  INSERT INTO host_fill VALUES (NEW.host);
END;
-- ;;
DROP TRIGGER IF EXISTS messages_pace;
