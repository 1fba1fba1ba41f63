-- The fair order counts rows when they may start, not when they came: of an account's rows that wait behind their hosts each
-- takes its place when its host has a slot for it. With the places of their arrival, those that waited longest stood before
-- whatever came meanwhile, and an account with many hosts had always some of them: others' new rows waited behind all.
-- (Start-time fair queueing over the rows that are eligible; Goyal, Vin, Cheng, SIGCOMM 1996.)

-- Virtual finish of the last row of a flow that came out of its host's backlog.
CREATE TABLE IF NOT EXISTS flows_ready (
  tenant   INTEGER NOT NULL,
  kind     INTEGER NOT NULL,
  priority INTEGER NOT NULL,
  finish   REAL NOT NULL,
  PRIMARY KEY (tenant, kind, priority)
) WITHOUT ROWID;
-- ;;
DROP TRIGGER IF EXISTS host_fill_run;
-- ;;
-- As in 0003, and the row's place is that of the moment: after the account's rows of the same or a higher priority that came out
-- before it, and not before the present virtual time.
CREATE TRIGGER IF NOT EXISTS host_fill_run INSTEAD OF INSERT ON host_fill
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
      LIMIT (SELECT MAX(0, MIN(
                 COALESCE(h.in_flight_max, s.host_in_flight_max)
                   - (SELECT COUNT(*) FROM Messages WHERE host = NEW.host AND slot = 1),
                 CASE WHEN COALESCE(h.gap_ms, s.host_gap_ms) = 0 THEN 1000000
                      ELSE NOT EXISTS (SELECT 1 FROM Messages WHERE host = NEW.host AND slot = 1 AND state = 'queued') END))
               FROM settings s LEFT JOIN hosts h ON h.host = NEW.host));
END;
-- ;;
-- The next one of the flow comes after it, and so does what the account asks for from now on.
CREATE TRIGGER IF NOT EXISTS messages_armed AFTER UPDATE OF slot ON Messages
WHEN OLD.stage IS 0 AND NEW.slot = 1
BEGIN
  INSERT INTO flows_ready (tenant, kind, priority, finish)
  SELECT NEW.tenant, NEW.type, NEW.priority, NEW.key + charge
    FROM flows WHERE tenant = NEW.tenant AND kind = NEW.type AND priority = NEW.priority
  ON CONFLICT (tenant, kind, priority) DO UPDATE SET finish = excluded.finish;
  UPDATE flows SET finish = NEW.key + charge
   WHERE tenant = NEW.tenant AND kind = NEW.type AND priority = NEW.priority AND finish < NEW.key + charge;
END;
-- ;;
DROP TRIGGER IF EXISTS endpoint_fill_run;
-- ;;
-- The same for callbacks: what an endpoint that is down for a day has gathered comes back in turns with everybody's new ones.
CREATE TRIGGER IF NOT EXISTS endpoint_fill_run INSTEAD OF INSERT ON endpoint_fill
WHEN NOT EXISTS (SELECT 1 FROM endpoints WHERE tenant = NEW.tenant AND url = NEW.endpoint
                  AND (disabled_ms IS NOT NULL OR throttled_until IS NOT NULL))
BEGIN
  UPDATE callbacks
     SET stage = 1, slot = 1,
         key = MAX((SELECT v FROM queues WHERE kind = 4),
                   COALESCE((SELECT finish FROM flows_ready r
                              WHERE r.tenant = callbacks.tenant AND r.kind = 4 AND r.priority = 0), 0))
   WHERE id IN (
     SELECT id FROM callbacks WHERE tenant = NEW.tenant AND endpoint = NEW.endpoint AND stage = 0 ORDER BY key
      LIMIT (SELECT MAX(0, 4 - COUNT(*)) FROM callbacks
              WHERE tenant = NEW.tenant AND endpoint = NEW.endpoint AND slot = 1));
END;
-- ;;
CREATE TRIGGER IF NOT EXISTS callbacks_armed AFTER UPDATE OF slot ON callbacks
WHEN OLD.stage IS 0 AND NEW.slot = 1
BEGIN
  INSERT INTO flows_ready (tenant, kind, priority, finish)
  SELECT NEW.tenant, 4, 0, NEW.key + charge FROM flows WHERE tenant = NEW.tenant AND kind = 4 AND priority = 0
  ON CONFLICT (tenant, kind, priority) DO UPDATE SET finish = excluded.finish;
  UPDATE flows SET finish = NEW.key + charge
   WHERE tenant = NEW.tenant AND kind = 4 AND priority = 0 AND finish < NEW.key + charge;
END;
-- ;;
DROP TRIGGER IF EXISTS messages_outrank;
-- ;;
-- As in 0005; but a row of the backlog has no real place yet, so none is handed on that lies before the present.
CREATE TRIGGER IF NOT EXISTS messages_outrank AFTER INSERT ON Messages
WHEN EXISTS (SELECT 1 FROM flows WHERE tenant = NEW.tenant AND kind = NEW.type AND priority < NEW.priority AND waiting > 0)
BEGIN
  UPDATE Messages SET key = MAX(moved.place, (SELECT v FROM queues WHERE kind = NEW.type) + (9 - Messages.priority) * 0.001)
    FROM (SELECT Id, LEAD(key, 1, NEW.key) OVER (ORDER BY key, Id) AS place
            FROM (SELECT NEW.Id AS Id, -1.0 AS key, NEW.priority AS priority, 10 AS lowest
                  UNION ALL
                  SELECT Id, key, priority,
                         MIN(priority) OVER (ORDER BY key, Id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
                    FROM (SELECT Id, key, priority, stage, added_ms FROM Messages
                           WHERE finished_ms IS NULL AND tenant = NEW.tenant AND type = NEW.type ORDER BY Id LIMIT 64)
                   WHERE stage IN (0, 1) AND priority < NEW.priority AND key < NEW.key
                     AND NEW.added_ms - added_ms < 60000 * (NEW.priority - priority))
           WHERE lowest IS NULL OR priority < lowest) moved
   WHERE Messages.Id = moved.Id;
END;
