-- What comes back to a host's backlog stands in line with what else of its account came back. Each row stood a charge behind the first of
-- all (0012), also when a thousand came back together, such as those of a host that was down: they all had the same place, before
-- everybody else's rows of that host but the next one.

-- The lease that the message had when its owner asked for it last; not raised since, it was not claimed since. By the attempt alone a
-- row that was given back before its attempt counted would not be known for one that comes back. A program from before this migration
-- leaves it as it is: what its owner asked for again then counts as having come back, and others stand behind it.
ALTER TABLE Messages ADD COLUMN asked_lease INTEGER NOT NULL DEFAULT 0;
-- ;;
-- As messages_backlog_of (0012), of what came back. No other row is in it: a new one, which waits for its host for the first time, pays
-- nothing for it.
CREATE INDEX IF NOT EXISTS messages_backlog_back ON Messages(host, tenant, priority, key) WHERE stage = 0 AND lease > asked_lease;
-- ;;
-- As line_up_run of 0012, which it replaces; and what comes back is placed a charge behind the account's last one that came back there, of
-- the same or a higher priority. Only when there is none it stands a charge behind the first of all: a lone retry waits behind nothing
-- that its owner has waiting, and a thousand of them take turns with whatever others want there. While both of them are there, each
-- gives the row a place, and the last one counts.
CREATE TRIGGER IF NOT EXISTS line_up_in_turns INSTEAD OF INSERT ON line_up
BEGIN
  UPDATE Messages
     SET key = COALESCE(
           COALESCE((SELECT MAX(CASE WHEN NEW.is_new THEN
                                (SELECT w.key FROM Messages w
                                  WHERE w.host = NEW.host AND w.tenant = NEW.tenant AND w.priority = f.priority AND w.stage = 0
                                    AND w.Id <> NEW.Id ORDER BY w.key DESC LIMIT 1)
                                ELSE
                                (SELECT w.key FROM Messages w
                                  WHERE w.host = NEW.host AND w.tenant = NEW.tenant AND w.priority = f.priority AND w.stage = 0
                                    AND w.lease > w.asked_lease AND w.Id <> NEW.Id ORDER BY w.key DESC LIMIT 1) END)
                       FROM flows f WHERE f.tenant = NEW.tenant AND f.kind < 4 AND f.priority >= NEW.priority AND f.waiting > 0),
                    (SELECT w.key FROM Messages w WHERE w.host = NEW.host AND w.stage = 0 AND w.Id <> NEW.Id ORDER BY w.key LIMIT 1))
             + COALESCE((SELECT charge FROM flows WHERE tenant = NEW.tenant AND kind = NEW.type AND priority = NEW.priority), 1)
             + (9 - NEW.priority) * 0.01 + (NEW.Id % 1000000) * 1e-9,
           key)
   WHERE Id = NEW.Id AND stage = 0;
END;
-- ;;
DROP TRIGGER IF EXISTS line_up_run;
