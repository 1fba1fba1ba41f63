-- Priority within a tenant, exactly: a new row takes the place of the tenant's first waiting row of lower priority; that one
-- takes the place of the first of a still lower priority, and so on; the last takes the new row's place. The places stay the
-- same ones, so no other tenant is moved, and the tenant's share is what it was. A row that has waited a minute for each level
-- of difference does not yield any more: that is how a low one ages, and nothing starves.
-- Only the tenant's 64 oldest unfinished rows are looked at, so that the cost does not depend on what waits; past them the
-- priorities take turns, by the order of the queue itself. A tenant that uses one priority pays one short look-up.
CREATE TRIGGER IF NOT EXISTS messages_outrank AFTER INSERT ON Messages
WHEN EXISTS (SELECT 1 FROM flows WHERE tenant = NEW.tenant AND kind = NEW.type AND priority < NEW.priority AND waiting > 0)
BEGIN
  UPDATE Messages SET key = moved.place
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
