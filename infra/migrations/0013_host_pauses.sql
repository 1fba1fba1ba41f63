-- A host that answers "not now" is left alone by all rows that wait for it, as callbacks leave their endpoint alone (0004). By the one
-- that was told so alone, the others went on asking until each had used up its attempts, at a host that had said when to come back.

-- Cleared by the clock, so that whoever adds a row needs no time. At most an hour ahead (trawl_core::limits::queue::RETRY_AFTER_MS_MAX).
ALTER TABLE hosts ADD COLUMN paused_until INTEGER;
-- ;;
CREATE INDEX IF NOT EXISTS hosts_paused ON hosts(paused_until) WHERE paused_until IS NOT NULL;
-- ;;
-- As host_fill_run of 0006, which it replaces; and a host that asked for a pause gets no row. By the time here, and not by whether the
-- pause was cleared: a program from before this migration clears none, and whoever went back to one must not wait for ever.
CREATE TRIGGER IF NOT EXISTS host_fill_unless_paused INSTEAD OF INSERT ON host_fill
BEGIN
  UPDATE Messages
     SET slot = 1,
         key = MAX((SELECT v FROM queues WHERE kind = Messages.type),
                   COALESCE((SELECT MAX(r.finish) FROM flows_ready r
                              WHERE r.tenant = Messages.tenant AND r.kind = Messages.type
                                AND r.priority >= Messages.priority), 0))
               + (9 - priority) * 0.01,
         -- A gap that lies further ahead than the gap itself is left from before the clock was set back.
         (stage, run_at) = (
           SELECT CASE WHEN h.next_at > c.ms AND h.next_at <= c.ms + COALESCE(h.gap_ms, s.host_gap_ms) THEN 3 ELSE 1 END,
                  CASE WHEN h.next_at > c.ms AND h.next_at <= c.ms + COALESCE(h.gap_ms, s.host_gap_ms) THEN h.next_at END
             FROM settings s
             JOIN (SELECT CAST(unixepoch('subsec') * 1000 AS INTEGER) AS ms) c
             LEFT JOIN hosts h ON h.host = NEW.host)
   WHERE Id IN (
     SELECT Id FROM Messages WHERE host = NEW.host AND stage = 0 ORDER BY key
      -- Without a gap every free slot; with one at most a single row that may start, whatever is free.
      -- MAX with 0, because a negative limit is no limit.
      LIMIT (SELECT CASE WHEN h.paused_until > CAST(unixepoch('subsec') * 1000 AS INTEGER) THEN 0
                         ELSE MAX(0, MIN(
                 COALESCE(h.in_flight_max, s.host_in_flight_max)
                   - (SELECT COUNT(*) FROM Messages WHERE host = NEW.host AND slot = 1),
                 CASE WHEN COALESCE(h.gap_ms, s.host_gap_ms) = 0 THEN 1000000
                      ELSE NOT EXISTS (SELECT 1 FROM Messages WHERE host = NEW.host AND slot = 1 AND state = 'queued') END)) END
               FROM settings s LEFT JOIN hosts h ON h.host = NEW.host));
END;
-- ;;
DROP TRIGGER IF EXISTS host_fill_run;
-- ;;
-- Paused: what might start goes back to the backlog. Over: the free slots are handed out.
CREATE TRIGGER IF NOT EXISTS hosts_held AFTER UPDATE OF paused_until ON hosts
BEGIN
  UPDATE Messages SET stage = 0, slot = 0, run_at = NULL
   WHERE NEW.paused_until IS NOT NULL AND host = NEW.host AND slot = 1 AND state = 'queued';
  INSERT INTO host_fill VALUES (NEW.host);
END;
-- ;;
CREATE TRIGGER IF NOT EXISTS hosts_held_new AFTER INSERT ON hosts
WHEN NEW.paused_until IS NOT NULL
BEGIN
  UPDATE Messages SET stage = 0, slot = 0, run_at = NULL WHERE host = NEW.host AND slot = 1 AND state = 'queued';
END;
