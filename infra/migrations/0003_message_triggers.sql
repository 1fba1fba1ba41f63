-- What follows from a transition, in the same transaction, so that no statement can forget it.
-- A trigger that is running does not fire again (recursive triggers are off): hence one trigger per concern, and each
-- that may be reached from another's statement stands on its own.

-- A procedure: `INSERT INTO host_fill VALUES (host)` hands the free slots of a host to the best rows of its backlog.
CREATE VIEW IF NOT EXISTS host_fill (host) AS SELECT NULL;
-- ;;
CREATE TRIGGER IF NOT EXISTS host_fill_run INSTEAD OF INSERT ON host_fill
BEGIN
  UPDATE Messages
     SET slot = 1,
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
      LIMIT (SELECT MAX(0, MIN(
                 COALESCE(h.in_flight_max, s.host_in_flight_max)
                   - (SELECT COUNT(*) FROM Messages WHERE host = NEW.host AND slot = 1),
                 CASE WHEN COALESCE(h.gap_ms, s.host_gap_ms) = 0 THEN 1000000
                      ELSE NOT EXISTS (SELECT 1 FROM Messages WHERE host = NEW.host AND slot = 1 AND state = 'queued') END))
               FROM settings s LEFT JOIN hosts h ON h.host = NEW.host));
END;
-- ;;
-- A row that left its slot, or came into the backlog, may let another start: freed slots never stay free.
CREATE TRIGGER IF NOT EXISTS messages_fill AFTER UPDATE OF stage, slot ON Messages
WHEN (OLD.slot = 1 AND NEW.slot = 0) OR (NEW.stage IS 0 AND OLD.stage IS NOT 0)
BEGIN
  INSERT INTO host_fill SELECT NEW.host WHERE EXISTS (SELECT 1 FROM Messages WHERE host = NEW.host AND stage = 0);
END;
-- ;;
-- A host's pace changed: rows that may start are taken back and handed out anew, since a gap allows only one of them.
CREATE TRIGGER IF NOT EXISTS hosts_fill AFTER UPDATE OF in_flight_max, gap_ms ON hosts
BEGIN
  UPDATE Messages SET stage = 0, slot = 0, run_at = NULL WHERE host = NEW.host AND slot = 1 AND state = 'queued';
  INSERT INTO host_fill VALUES (NEW.host);
END;
-- ;;
CREATE TRIGGER IF NOT EXISTS hosts_fill_new AFTER INSERT ON hosts
WHEN NEW.in_flight_max IS NOT NULL OR NEW.gap_ms IS NOT NULL
BEGIN
  UPDATE Messages SET stage = 0, slot = 0, run_at = NULL WHERE host = NEW.host AND slot = 1 AND state = 'queued';
  INSERT INTO host_fill VALUES (NEW.host);
END;
-- ;;
-- With a gap, a start fixes when the next one may be; only then is the next row armed.
CREATE TRIGGER IF NOT EXISTS messages_pace AFTER UPDATE OF state ON Messages
WHEN NEW.state = 'processing'
 AND (SELECT COALESCE((SELECT gap_ms FROM hosts WHERE host = NEW.host), host_gap_ms) FROM settings) > 0
BEGIN
  INSERT INTO hosts (host, next_at)
  SELECT NEW.host, CAST(unixepoch('subsec') * 1000 AS INTEGER)
                   + (SELECT COALESCE((SELECT gap_ms FROM hosts WHERE host = NEW.host), host_gap_ms) FROM settings)
  WHERE true
  ON CONFLICT (host) DO UPDATE SET next_at = excluded.next_at;
  INSERT INTO host_fill VALUES (NEW.host);
END;
-- ;;
CREATE TRIGGER IF NOT EXISTS messages_added AFTER INSERT ON Messages
BEGIN
  INSERT INTO flows (tenant, kind, priority, finish, waiting, minute, added)
  VALUES (NEW.tenant, NEW.type, NEW.priority, NEW.key + 1, 1, NEW.added_ms / 60000, 1)
  ON CONFLICT (tenant, kind, priority) DO UPDATE SET
    finish = NEW.key + charge,
    waiting = waiting + 1,
    added_before = CASE minute WHEN excluded.minute THEN added_before WHEN excluded.minute - 1 THEN added ELSE 0 END,
    done_before = CASE minute WHEN excluded.minute THEN done_before WHEN excluded.minute - 1 THEN done ELSE 0 END,
    added = 1 + CASE minute WHEN excluded.minute THEN added ELSE 0 END,
    done = CASE minute WHEN excluded.minute THEN done ELSE 0 END,
    minute = excluded.minute;
  UPDATE queues SET
    waiting = waiting + 1,
    added_before = CASE minute WHEN NEW.added_ms / 60000 THEN added_before WHEN NEW.added_ms / 60000 - 1 THEN added ELSE 0 END,
    done_before = CASE minute WHEN NEW.added_ms / 60000 THEN done_before WHEN NEW.added_ms / 60000 - 1 THEN done ELSE 0 END,
    added = 1 + CASE minute WHEN NEW.added_ms / 60000 THEN added ELSE 0 END,
    done = CASE minute WHEN NEW.added_ms / 60000 THEN done ELSE 0 END,
    minute = NEW.added_ms / 60000
  WHERE kind = NEW.type;
END;
-- ;;
CREATE TRIGGER IF NOT EXISTS messages_claimed AFTER UPDATE OF state ON Messages
WHEN NEW.state = 'processing'
BEGIN
  UPDATE flows SET waiting = waiting - 1, leased = leased + 1
   WHERE tenant = NEW.tenant AND kind = NEW.type AND priority = NEW.priority;
  UPDATE queues SET waiting = waiting - 1, leased = leased + 1, v = MAX(v, NEW.key) WHERE kind = NEW.type;
END;
-- ;;
CREATE TRIGGER IF NOT EXISTS messages_ended AFTER UPDATE OF state ON Messages
WHEN OLD.state = 'processing' AND NEW.state IN ('done', 'failed')
BEGIN
  UPDATE flows SET
    leased = leased - 1,
    dead = dead + (NEW.state = 'failed'),
    added_before = CASE minute WHEN NEW.finished_ms / 60000 THEN added_before WHEN NEW.finished_ms / 60000 - 1 THEN added ELSE 0 END,
    done_before = CASE minute WHEN NEW.finished_ms / 60000 THEN done_before WHEN NEW.finished_ms / 60000 - 1 THEN done ELSE 0 END,
    added = CASE minute WHEN NEW.finished_ms / 60000 THEN added ELSE 0 END,
    done = 1 + CASE minute WHEN NEW.finished_ms / 60000 THEN done ELSE 0 END,
    minute = NEW.finished_ms / 60000
  WHERE tenant = NEW.tenant AND kind = NEW.type AND priority = NEW.priority;
  UPDATE queues SET
    leased = leased - 1,
    dead = dead + (NEW.state = 'failed'),
    added_before = CASE minute WHEN NEW.finished_ms / 60000 THEN added_before WHEN NEW.finished_ms / 60000 - 1 THEN added ELSE 0 END,
    done_before = CASE minute WHEN NEW.finished_ms / 60000 THEN done_before WHEN NEW.finished_ms / 60000 - 1 THEN done ELSE 0 END,
    added = CASE minute WHEN NEW.finished_ms / 60000 THEN added ELSE 0 END,
    done = 1 + CASE minute WHEN NEW.finished_ms / 60000 THEN done ELSE 0 END,
    minute = NEW.finished_ms / 60000
  WHERE kind = NEW.type;
END;
-- ;;
-- Every other transition: back into the queue, out of a delay, cancelled, asked for again.
CREATE TRIGGER IF NOT EXISTS messages_moved AFTER UPDATE OF state, stage ON Messages
WHEN NEW.state <> 'processing' AND NOT (OLD.state = 'processing' AND NEW.state IN ('done', 'failed'))
 AND (OLD.state <> NEW.state OR (OLD.stage IS 2) <> (NEW.stage IS 2))
BEGIN
  UPDATE flows SET
    waiting = waiting - (OLD.state = 'queued' AND OLD.stage <> 2) + (NEW.state = 'queued' AND NEW.stage <> 2),
    delayed = delayed - (OLD.stage IS 2) + (NEW.stage IS 2),
    leased = leased - (OLD.state = 'processing'),
    dead = dead - (OLD.state = 'failed'),
    -- Asked for again: it pays its fair share like a new one.
    finish = CASE WHEN OLD.finished_ms IS NULL THEN finish ELSE NEW.key + charge END
  WHERE tenant = NEW.tenant AND kind = NEW.type AND priority = NEW.priority;
  UPDATE queues SET
    waiting = waiting - (OLD.state = 'queued' AND OLD.stage <> 2) + (NEW.state = 'queued' AND NEW.stage <> 2),
    delayed = delayed - (OLD.stage IS 2) + (NEW.stage IS 2),
    leased = leased - (OLD.state = 'processing'),
    dead = dead - (OLD.state = 'failed')
  WHERE kind = NEW.type;
END;
-- ;;
CREATE TRIGGER IF NOT EXISTS messages_event AFTER UPDATE OF state ON Messages
WHEN OLD.state <> NEW.state
BEGIN
  INSERT INTO events (message_id, seq, at_ms, from_state, to_state, lease, worker, reason)
  VALUES (
    NEW.Id,
    (SELECT COALESCE(MAX(seq), 0) + 1 FROM events WHERE message_id = NEW.Id),
    CAST(unixepoch('subsec') * 1000 AS INTEGER),
    OLD.state, NEW.state, NEW.lease,
    CASE WHEN OLD.state = 'processing' OR NEW.state = 'processing' THEN NEW.worker END,
    CASE
      WHEN NEW.state = 'processing' THEN 'claimed'
      WHEN NEW.state = 'done' THEN 'finished'
      WHEN NEW.state = 'cancelled' THEN 'cancelled'
      WHEN OLD.finished_ms IS NOT NULL THEN 'asked_again'
      WHEN NEW.state = 'failed' THEN NEW.error_code
      WHEN NEW.crash_count > OLD.crash_count THEN 'lease_expired'
      WHEN NEW.attempt < OLD.attempt THEN 'released'
      ELSE COALESCE(NEW.error_code, 'requeued')
    END);
END;
-- ;;
-- A message that is asked for again has no result until it has a new one.
CREATE TRIGGER IF NOT EXISTS messages_asked_again AFTER UPDATE OF state ON Messages
WHEN OLD.finished_ms IS NOT NULL AND NEW.state = 'queued'
BEGIN
  DELETE FROM results WHERE message_id = NEW.Id;
END;
-- ;;
-- A result is the transition to done: one statement, fenced by the lease that the insert has just matched.
CREATE TRIGGER IF NOT EXISTS results_finish AFTER INSERT ON results
BEGIN
  UPDATE Messages
     SET state = 'done', slot = 0, lease_until = NULL, finished_ms = NEW.stored_ms,
         error_code = NULL, error_detail = NULL, error_permanent = NULL
   WHERE Id = NEW.message_id AND state = 'processing' AND lease = NEW.lease;
END;
-- ;;
CREATE TRIGGER IF NOT EXISTS messages_purged AFTER DELETE ON Messages
BEGIN
  DELETE FROM results WHERE message_id = OLD.Id;
  DELETE FROM events WHERE message_id = OLD.Id;
  UPDATE flows SET dead = dead - 1
   WHERE OLD.state = 'failed' AND tenant = OLD.tenant AND kind = OLD.type AND priority = OLD.priority;
  UPDATE queues SET dead = dead - 1 WHERE OLD.state = 'failed' AND kind = OLD.type;
END;
