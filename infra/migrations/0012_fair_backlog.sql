-- A row pays its place in the fair order when it may start. Until here it paid when it came, also one that only came to wait for its
-- host: a thousand pages of one slow host put the account's page of an idle host behind a thousand of others; and so did a thousand
-- that were cancelled, and a thousand callbacks to an endpoint that asked for a pause.
-- What is replaced here counts too. The new one is made first, so that nothing is left out: what came between two of these statements
-- is counted twice, and all are counted anew below.
CREATE TRIGGER IF NOT EXISTS messages_counted AFTER INSERT ON Messages
BEGIN
  INSERT INTO flows (tenant, kind, priority, finish, waiting, minute, added)
  VALUES (NEW.tenant, NEW.type, NEW.priority, CASE NEW.slot WHEN 1 THEN NEW.key + 1 ELSE 0 END, 1, NEW.added_ms / 60000, 1)
  ON CONFLICT (tenant, kind, priority) DO UPDATE SET
    -- A row of the backlog pays when it leaves it (messages_armed).
    finish = CASE NEW.slot WHEN 1 THEN NEW.key + charge ELSE finish END,
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
DROP TRIGGER IF EXISTS messages_added;
-- ;;
CREATE TRIGGER IF NOT EXISTS callbacks_counted AFTER INSERT ON callbacks
BEGIN
  INSERT INTO flows (tenant, kind, priority, finish, waiting, minute, added)
  VALUES (NEW.tenant, 4, 0, CASE NEW.slot WHEN 1 THEN NEW.key + 1 ELSE 0 END, 1, NEW.finished_ms / 60000, 1)
  ON CONFLICT (tenant, kind, priority) DO UPDATE SET
    finish = CASE NEW.slot WHEN 1 THEN NEW.key + charge ELSE finish END,
    waiting = waiting + 1,
    added_before = CASE minute WHEN excluded.minute THEN added_before WHEN excluded.minute - 1 THEN added ELSE 0 END,
    done_before = CASE minute WHEN excluded.minute THEN done_before WHEN excluded.minute - 1 THEN done ELSE 0 END,
    added = 1 + CASE minute WHEN excluded.minute THEN added ELSE 0 END,
    done = CASE minute WHEN excluded.minute THEN done ELSE 0 END,
    minute = excluded.minute;
  UPDATE queues SET
    waiting = waiting + 1,
    added_before = CASE minute WHEN NEW.finished_ms / 60000 THEN added_before WHEN NEW.finished_ms / 60000 - 1 THEN added ELSE 0 END,
    done_before = CASE minute WHEN NEW.finished_ms / 60000 THEN done_before WHEN NEW.finished_ms / 60000 - 1 THEN done ELSE 0 END,
    added = 1 + CASE minute WHEN NEW.finished_ms / 60000 THEN added ELSE 0 END,
    done = CASE minute WHEN NEW.finished_ms / 60000 THEN done ELSE 0 END,
    minute = NEW.finished_ms / 60000
  WHERE kind = 4;
END;
-- ;;
DROP TRIGGER IF EXISTS callbacks_added;
-- ;;
UPDATE flows SET waiting = counted.waiting
  FROM (SELECT f.tenant, f.kind, f.priority, COALESCE(c.waiting, 0) AS waiting
          FROM flows f
          LEFT JOIN (SELECT tenant, type AS kind, priority, COUNT(*) AS waiting FROM Messages
                      WHERE finished_ms IS NULL AND (stage = 0 OR stage = 1 OR stage = 3) GROUP BY tenant, type, priority
                     UNION ALL
                     SELECT tenant, 4, 0, COUNT(*) FROM callbacks
                      WHERE ended_ms IS NULL AND (stage = 0 OR stage = 1) GROUP BY tenant) c
            ON c.tenant = f.tenant AND c.kind = f.kind AND c.priority = f.priority) counted
 WHERE flows.tenant = counted.tenant AND flows.kind = counted.kind AND flows.priority = counted.priority
   AND flows.waiting <> counted.waiting;
-- ;;
UPDATE queues SET waiting = (SELECT COALESCE(SUM(waiting), 0) FROM flows WHERE flows.kind = queues.kind);
-- ;;
-- What is cancelled before it started gets its price back, but not so much that the account would stand before the present. (On the
-- column that a claim does not set.)
CREATE TRIGGER IF NOT EXISTS messages_cancelled AFTER UPDATE OF slot ON Messages
WHEN NEW.state = 'cancelled' AND OLD.state = 'queued' AND OLD.slot = 1
BEGIN
  UPDATE flows SET finish = MAX(finish - charge - (9 - NEW.priority) * 0.01, MIN(finish, (SELECT v FROM queues WHERE kind = NEW.type)))
   WHERE tenant = NEW.tenant AND kind = NEW.type AND priority = NEW.priority;
  -- Whether it came out of a backlog its place tells: one that did not stands behind all that did.
  UPDATE flows_ready
     SET finish = MAX(finish - (SELECT charge FROM flows f WHERE f.tenant = NEW.tenant AND f.kind = NEW.type AND f.priority = NEW.priority)
                        - (9 - NEW.priority) * 0.01,
                      MIN(finish, (SELECT v FROM queues WHERE kind = NEW.type)))
   WHERE tenant = NEW.tenant AND kind = NEW.type AND priority = NEW.priority AND finish > OLD.key;
END;
-- ;;
-- A host's backlog has an order of its own, which is fair too. With places by the virtual time of the type, which moves on with what
-- all hosts serve, whoever came later stood behind all that an account had waiting there.
-- The greatest place of an account, of one priority, that waits for a host.
CREATE INDEX IF NOT EXISTS messages_backlog_of ON Messages(host, tenant, priority, key) WHERE stage = 0;
-- ;;
-- A procedure: the account's rows of lower priority yield to the one named, as in 0005: those that wait for the same host to one that
-- waits, those that may start to one that may.
CREATE VIEW IF NOT EXISTS outrank (Id, tenant, type, stage, host, priority, added_ms, key) AS
SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL;
-- ;;
CREATE TRIGGER IF NOT EXISTS outrank_run INSTEAD OF INSERT ON outrank
BEGIN
  UPDATE Messages SET key = moved.place
    FROM (SELECT Id, LEAD(key, 1, NEW.key) OVER (ORDER BY key, Id) AS place
            FROM (SELECT NEW.Id AS Id, -1.0 AS key, NEW.priority AS priority, 10 AS lowest
                  UNION ALL
                  SELECT Id, key, priority,
                         MIN(priority) OVER (ORDER BY key, Id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
                    FROM (SELECT Id, key, priority, stage, host, added_ms FROM Messages
                           WHERE finished_ms IS NULL AND tenant = NEW.tenant AND type = NEW.type ORDER BY Id LIMIT 64)
                   WHERE stage = NEW.stage AND (stage = 1 OR host = NEW.host) AND priority < NEW.priority AND key < NEW.key
                     AND NEW.added_ms - added_ms < 60000 * (NEW.priority - priority))
           WHERE lowest IS NULL OR priority < lowest) moved
   WHERE Messages.Id = moved.Id;
END;
-- ;;
-- A procedure: gives a row its place among those that wait for its host. A new one is placed a charge behind the account's last one there
-- of the same or a higher priority; when there is none, and any other one, a charge behind the first of all. (Not beside the first:
-- accounts that ask for one page after the other would stand before whoever asked for many, for ever, since each of them is new there
-- every time.) The first row that waits for a host may stand anywhere.
-- The last term keeps places apart that are counted from the same row: one that yields must have another place to go to.
CREATE VIEW IF NOT EXISTS line_up (Id, tenant, type, host, priority, is_new) AS SELECT NULL, NULL, NULL, NULL, NULL, NULL;
-- ;;
CREATE TRIGGER IF NOT EXISTS line_up_run INSTEAD OF INSERT ON line_up
BEGIN
  UPDATE Messages
     SET key = COALESCE(
           COALESCE(CASE WHEN NEW.is_new THEN
                   (SELECT MAX((SELECT w.key FROM Messages w
                                     WHERE w.host = NEW.host AND w.tenant = NEW.tenant AND w.priority = f.priority AND w.stage = 0
                                       AND w.Id <> NEW.Id ORDER BY w.key DESC LIMIT 1))
                          FROM flows f WHERE f.tenant = NEW.tenant AND f.kind < 4 AND f.priority >= NEW.priority AND f.waiting > 0) END,
                    (SELECT w.key FROM Messages w WHERE w.host = NEW.host AND w.stage = 0 AND w.Id <> NEW.Id ORDER BY w.key LIMIT 1))
             + COALESCE((SELECT charge FROM flows WHERE tenant = NEW.tenant AND kind = NEW.type AND priority = NEW.priority), 1)
             + (9 - NEW.priority) * 0.01 + (NEW.Id % 1000000) * 1e-9,
           key)
   WHERE Id = NEW.Id AND stage = 0;
END;
-- ;;
CREATE TRIGGER IF NOT EXISTS messages_lined_up AFTER INSERT ON Messages
WHEN NEW.stage = 0
BEGIN
  INSERT INTO line_up VALUES (NEW.Id, NEW.tenant, NEW.type, NEW.host, NEW.priority, 1);
  INSERT INTO outrank
  SELECT Id, tenant, type, stage, host, priority, added_ms, key FROM Messages
   WHERE Id = NEW.Id
     AND EXISTS (SELECT 1 FROM flows WHERE tenant = NEW.tenant AND kind = NEW.type AND priority < NEW.priority AND waiting > 0);
END;
-- ;;
-- As messages_outrank, which it replaces: rows that may start yield to one that may start.
CREATE TRIGGER IF NOT EXISTS messages_outrank_ready AFTER INSERT ON Messages
WHEN NEW.slot = 1
 AND EXISTS (SELECT 1 FROM flows WHERE tenant = NEW.tenant AND kind = NEW.type AND priority < NEW.priority AND waiting > 0)
BEGIN
  INSERT INTO outrank VALUES (NEW.Id, NEW.tenant, NEW.type, 1, NEW.host, NEW.priority, NEW.added_ms, NEW.key);
END;
-- ;;
DROP TRIGGER IF EXISTS messages_outrank;
-- ;;
-- As messages_fill, which it replaces; and what comes into the backlog gets its place there first. What was asked for again is placed
-- like a new row. What comes back for another reason (a retry that came due, a job given back) had its turn before: it stands a charge
-- behind the first of all, whatever else the account has waiting.
CREATE TRIGGER IF NOT EXISTS messages_refill AFTER UPDATE OF stage, slot ON Messages
WHEN (OLD.slot = 1 AND NEW.slot = 0) OR (NEW.stage IS 0 AND OLD.stage IS NOT 0)
BEGIN
  INSERT INTO line_up
  SELECT NEW.Id, NEW.tenant, NEW.type, NEW.host, NEW.priority, OLD.finished_ms IS NOT NULL
   WHERE NEW.stage IS 0 AND OLD.stage IS NOT 0;
  INSERT INTO host_fill SELECT NEW.host WHERE EXISTS (SELECT 1 FROM Messages WHERE host = NEW.host AND stage = 0);
END;
-- ;;
DROP TRIGGER IF EXISTS messages_fill;
