-- The outbox, the attempts, and the state of endpoints.

CREATE TABLE IF NOT EXISTS callbacks (
  id              INTEGER PRIMARY KEY,
  message_id      INTEGER NOT NULL,
  tenant          INTEGER NOT NULL,
  endpoint        TEXT NOT NULL,
  webhook_id      TEXT NOT NULL,               -- made once, the same for ever: receivers drop repeats by it
  ok              INTEGER NOT NULL,            -- outcome as it was, whatever the message becomes later
  error_code      TEXT,
  error_detail    TEXT,
  error_permanent INTEGER,
  finished_ms     INTEGER NOT NULL,
  state           TEXT NOT NULL DEFAULT 'pending'
                  CHECK (state = 'pending' OR state = 'processing' OR state = 'delivered' OR state = 'failed'),
  -- As for messages: 0 backlog (its endpoint has no free slot or is held back), 1 ready, 2 delayed (next try).
  stage           INTEGER CHECK (stage BETWEEN 0 AND 2),
  slot            INTEGER NOT NULL DEFAULT 0,
  key             REAL NOT NULL,
  run_at          INTEGER,
  attempt         INTEGER NOT NULL DEFAULT 0,
  lease           INTEGER NOT NULL DEFAULT 0,
  lease_until     INTEGER,
  worker          TEXT,
  ended_ms        INTEGER,                     -- when it was delivered or given up
  CONSTRAINT pending_has_stage CHECK ((state = 'pending') = (stage IS NOT NULL)),
  CONSTRAINT delayed_has_run_at CHECK ((stage IS 2) = (run_at IS NOT NULL)),
  CONSTRAINT slot_follows_state CHECK (slot = (state = 'processing' OR stage IS 1)),
  CONSTRAINT processing_has_lease CHECK ((state = 'processing') = (lease_until IS NOT NULL)),
  CONSTRAINT terminal_has_time CHECK ((state IN ('delivered', 'failed')) = (ended_ms IS NOT NULL))
);
-- ;;
CREATE INDEX IF NOT EXISTS callbacks_message ON callbacks(message_id);
-- ;;
CREATE INDEX IF NOT EXISTS callbacks_ready ON callbacks(key) WHERE stage = 1;
-- ;;
CREATE INDEX IF NOT EXISTS callbacks_backlog ON callbacks(tenant, endpoint, key) WHERE stage = 0;
-- ;;
CREATE INDEX IF NOT EXISTS callbacks_delayed ON callbacks(run_at) WHERE stage = 2;
-- ;;
CREATE INDEX IF NOT EXISTS callbacks_slots ON callbacks(tenant, endpoint) WHERE slot = 1;
-- ;;
-- The oldest unfinished callback of a tenant. Not touched by a claim.
CREATE INDEX IF NOT EXISTS callbacks_open ON callbacks(tenant, id) WHERE ended_ms IS NULL;
-- ;;
CREATE INDEX IF NOT EXISTS callbacks_leased ON callbacks(lease_until) WHERE state = 'processing';
-- ;;
-- Only endpoints that have failed: no row means all is well. While disabled or throttled its callbacks are kept, not tried.
CREATE TABLE IF NOT EXISTS endpoints (
  tenant           INTEGER NOT NULL,
  url              TEXT NOT NULL,
  disabled_ms      INTEGER,
  throttled_until  INTEGER,                    -- cleared by the clock, so that whoever looks needs no time
  first_failure_ms INTEGER,                    -- since the last success
  failing_days     INTEGER NOT NULL DEFAULT 0, -- separate days with a failure since then
  last_failure_day INTEGER,
  PRIMARY KEY (tenant, url)
) WITHOUT ROWID;
-- ;;
CREATE INDEX IF NOT EXISTS endpoints_throttled ON endpoints(throttled_until) WHERE throttled_until IS NOT NULL;
-- ;;
CREATE TABLE IF NOT EXISTS deliveries (
  message_id     INTEGER NOT NULL,
  seq            INTEGER NOT NULL,
  callback_id    INTEGER NOT NULL,
  lease          INTEGER NOT NULL,
  webhook_id     TEXT NOT NULL,
  attempt        INTEGER NOT NULL,
  at_ms          INTEGER NOT NULL,
  status         INTEGER,
  latency_ms     INTEGER NOT NULL,
  error          TEXT,
  outcome        TEXT NOT NULL CHECK (outcome = 'delivered' OR outcome = 'retry' OR outcome = 'exhausted' OR outcome = 'gone'),
  next_try_at    INTEGER,
  throttle_until INTEGER,
  PRIMARY KEY (message_id, seq)
) WITHOUT ROWID;
-- ;;
-- The outbox row is written by the transition itself.
-- Four at once per endpoint (rules of the callbacks, 4); the fair order is that of the queue, with callbacks as kind 4.
CREATE TRIGGER IF NOT EXISTS messages_outbox AFTER UPDATE OF state ON Messages
WHEN OLD.state = 'processing' AND NEW.state IN ('done', 'failed') AND NEW.callback_url IS NOT NULL
BEGIN
  INSERT INTO callbacks (message_id, tenant, endpoint, webhook_id, ok, error_code, error_detail, error_permanent,
                         finished_ms, key, stage, slot)
  SELECT NEW.Id, NEW.tenant, NEW.callback_url, 'msg_' || lower(hex(randomblob(16))), NEW.state = 'done',
         NEW.error_code, NEW.error_detail, NEW.error_permanent, NEW.finished_ms,
         MAX(q.v, COALESCE((SELECT finish FROM flows WHERE tenant = NEW.tenant AND kind = 4 AND priority = 0), 0)),
         free.slot, free.slot
    FROM queues q,
         (SELECT (SELECT COUNT(*) FROM callbacks WHERE tenant = NEW.tenant AND endpoint = NEW.callback_url AND slot = 1) < 4
                 AND NOT EXISTS (SELECT 1 FROM endpoints WHERE tenant = NEW.tenant AND url = NEW.callback_url
                                  AND (disabled_ms IS NOT NULL OR throttled_until IS NOT NULL)) AS slot) free
   WHERE q.kind = 4;
END;
-- ;;
CREATE VIEW IF NOT EXISTS endpoint_fill (tenant, endpoint) AS SELECT NULL, NULL;
-- ;;
CREATE TRIGGER IF NOT EXISTS endpoint_fill_run INSTEAD OF INSERT ON endpoint_fill
WHEN NOT EXISTS (SELECT 1 FROM endpoints WHERE tenant = NEW.tenant AND url = NEW.endpoint
                  AND (disabled_ms IS NOT NULL OR throttled_until IS NOT NULL))
BEGIN
  UPDATE callbacks SET stage = 1, slot = 1
   WHERE id IN (
     SELECT id FROM callbacks WHERE tenant = NEW.tenant AND endpoint = NEW.endpoint AND stage = 0 ORDER BY key
      LIMIT (SELECT MAX(0, 4 - COUNT(*)) FROM callbacks
              WHERE tenant = NEW.tenant AND endpoint = NEW.endpoint AND slot = 1));
END;
-- ;;
CREATE TRIGGER IF NOT EXISTS callbacks_fill AFTER UPDATE OF stage, slot ON callbacks
WHEN (OLD.slot = 1 AND NEW.slot = 0) OR (NEW.stage IS 0 AND OLD.stage IS NOT 0)
BEGIN
  INSERT INTO endpoint_fill SELECT NEW.tenant, NEW.endpoint
   WHERE EXISTS (SELECT 1 FROM callbacks WHERE tenant = NEW.tenant AND endpoint = NEW.endpoint AND stage = 0);
END;
-- ;;
-- Held back: what was ready goes back to the backlog. Let go: the free slots are handed out.
CREATE TRIGGER IF NOT EXISTS endpoints_held AFTER UPDATE OF disabled_ms, throttled_until ON endpoints
BEGIN
  UPDATE callbacks SET stage = 0, slot = 0
   WHERE (NEW.disabled_ms IS NOT NULL OR NEW.throttled_until IS NOT NULL)
     AND tenant = NEW.tenant AND endpoint = NEW.url AND slot = 1 AND state = 'pending';
  INSERT INTO endpoint_fill VALUES (NEW.tenant, NEW.url);
END;
-- ;;
CREATE TRIGGER IF NOT EXISTS callbacks_added AFTER INSERT ON callbacks
BEGIN
  INSERT INTO flows (tenant, kind, priority, finish, waiting, minute, added)
  VALUES (NEW.tenant, 4, 0, NEW.key + 1, 1, NEW.finished_ms / 60000, 1)
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
    added_before = CASE minute WHEN NEW.finished_ms / 60000 THEN added_before WHEN NEW.finished_ms / 60000 - 1 THEN added ELSE 0 END,
    done_before = CASE minute WHEN NEW.finished_ms / 60000 THEN done_before WHEN NEW.finished_ms / 60000 - 1 THEN done ELSE 0 END,
    added = 1 + CASE minute WHEN NEW.finished_ms / 60000 THEN added ELSE 0 END,
    done = CASE minute WHEN NEW.finished_ms / 60000 THEN done ELSE 0 END,
    minute = NEW.finished_ms / 60000
  WHERE kind = 4;
END;
-- ;;
CREATE TRIGGER IF NOT EXISTS callbacks_claimed AFTER UPDATE OF state ON callbacks
WHEN NEW.state = 'processing'
BEGIN
  UPDATE flows SET waiting = waiting - 1, leased = leased + 1 WHERE tenant = NEW.tenant AND kind = 4 AND priority = 0;
  UPDATE queues SET waiting = waiting - 1, leased = leased + 1, v = MAX(v, NEW.key) WHERE kind = 4;
END;
-- ;;
CREATE TRIGGER IF NOT EXISTS callbacks_moved AFTER UPDATE OF state, stage ON callbacks
WHEN NEW.state <> 'processing' AND (OLD.state <> NEW.state OR (OLD.stage IS 2) <> (NEW.stage IS 2))
BEGIN
  UPDATE flows SET
    waiting = waiting - (OLD.state = 'pending' AND OLD.stage <> 2) + (NEW.state = 'pending' AND NEW.stage <> 2),
    delayed = delayed - (OLD.stage IS 2) + (NEW.stage IS 2),
    leased = leased - (OLD.state = 'processing'),
    dead = dead - (OLD.state = 'failed') + (NEW.state = 'failed')
  WHERE tenant = NEW.tenant AND kind = 4 AND priority = 0;
  UPDATE queues SET
    waiting = waiting - (OLD.state = 'pending' AND OLD.stage <> 2) + (NEW.state = 'pending' AND NEW.stage <> 2),
    delayed = delayed - (OLD.stage IS 2) + (NEW.stage IS 2),
    leased = leased - (OLD.state = 'processing'),
    dead = dead - (OLD.state = 'failed') + (NEW.state = 'failed')
  WHERE kind = 4;
END;
-- ;;
-- An attempt is the transition: its insert was matched with the lease, everything else follows from it.
-- Order matters: the endpoint first, so that the slot that comes free is not handed out while it is held back.
-- 432,000,000 ms are 5 days; the rule (5 days without success, failures on 2 days) is trawl_core::callback_policy's.
CREATE TRIGGER IF NOT EXISTS deliveries_record AFTER INSERT ON deliveries
BEGIN
  UPDATE endpoints SET first_failure_ms = NULL, failing_days = 0, last_failure_day = NULL
   WHERE NEW.outcome = 'delivered' AND first_failure_ms IS NOT NULL
     AND (tenant, url) = (SELECT tenant, endpoint FROM callbacks WHERE id = NEW.callback_id);
  INSERT OR IGNORE INTO endpoints (tenant, url)
  SELECT tenant, endpoint FROM callbacks WHERE id = NEW.callback_id AND NEW.outcome <> 'delivered';
  UPDATE endpoints SET
    first_failure_ms = COALESCE(first_failure_ms, NEW.at_ms),
    failing_days = failing_days + (last_failure_day IS NOT NEW.at_ms / 86400000),
    last_failure_day = NEW.at_ms / 86400000,
    throttled_until = CASE WHEN NEW.throttle_until IS NULL THEN throttled_until
                           ELSE MAX(NEW.throttle_until, COALESCE(throttled_until, 0)) END,
    disabled_ms = CASE
      WHEN disabled_ms IS NOT NULL THEN disabled_ms
      WHEN NEW.outcome = 'gone' THEN NEW.at_ms
      WHEN NEW.at_ms - COALESCE(first_failure_ms, NEW.at_ms) >= 432000000
       AND failing_days + (last_failure_day IS NOT NEW.at_ms / 86400000) >= 2 THEN NEW.at_ms END
   WHERE NEW.outcome <> 'delivered'
     AND (tenant, url) = (SELECT tenant, endpoint FROM callbacks WHERE id = NEW.callback_id);
  UPDATE callbacks SET
    state = CASE NEW.outcome WHEN 'delivered' THEN 'delivered' WHEN 'exhausted' THEN 'failed' ELSE 'pending' END,
    stage = CASE NEW.outcome WHEN 'retry' THEN 2 WHEN 'gone' THEN 0 END,
    run_at = CASE NEW.outcome WHEN 'retry' THEN NEW.next_try_at END,
    ended_ms = CASE WHEN NEW.outcome IN ('delivered', 'exhausted') THEN NEW.at_ms END,
    slot = 0, lease_until = NULL
   WHERE id = NEW.callback_id AND state = 'processing' AND lease = NEW.lease;
  UPDATE flows SET
    added_before = CASE minute WHEN NEW.at_ms / 60000 THEN added_before WHEN NEW.at_ms / 60000 - 1 THEN added ELSE 0 END,
    done_before = CASE minute WHEN NEW.at_ms / 60000 THEN done_before WHEN NEW.at_ms / 60000 - 1 THEN done ELSE 0 END,
    added = CASE minute WHEN NEW.at_ms / 60000 THEN added ELSE 0 END,
    done = 1 + CASE minute WHEN NEW.at_ms / 60000 THEN done ELSE 0 END,
    minute = NEW.at_ms / 60000
   WHERE NEW.outcome = 'delivered' AND kind = 4 AND priority = 0
     AND tenant = (SELECT tenant FROM callbacks WHERE id = NEW.callback_id);
  UPDATE queues SET
    added_before = CASE minute WHEN NEW.at_ms / 60000 THEN added_before WHEN NEW.at_ms / 60000 - 1 THEN added ELSE 0 END,
    done_before = CASE minute WHEN NEW.at_ms / 60000 THEN done_before WHEN NEW.at_ms / 60000 - 1 THEN done ELSE 0 END,
    added = CASE minute WHEN NEW.at_ms / 60000 THEN added ELSE 0 END,
    done = 1 + CASE minute WHEN NEW.at_ms / 60000 THEN done ELSE 0 END,
    minute = NEW.at_ms / 60000
   WHERE NEW.outcome = 'delivered' AND kind = 4;
END;
-- ;;
CREATE TRIGGER IF NOT EXISTS callbacks_purged AFTER DELETE ON callbacks
BEGIN
  UPDATE flows SET waiting = waiting - (OLD.stage IS 0 OR OLD.stage IS 1), delayed = delayed - (OLD.stage IS 2),
                   leased = leased - (OLD.state = 'processing'), dead = dead - (OLD.state = 'failed')
   WHERE tenant = OLD.tenant AND kind = 4 AND priority = 0;
  UPDATE queues SET waiting = waiting - (OLD.stage IS 0 OR OLD.stage IS 1), delayed = delayed - (OLD.stage IS 2),
                    leased = leased - (OLD.state = 'processing'), dead = dead - (OLD.state = 'failed')
   WHERE kind = 4;
  INSERT INTO endpoint_fill SELECT OLD.tenant, OLD.endpoint WHERE OLD.slot = 1;
END;
-- ;;
CREATE TRIGGER IF NOT EXISTS messages_purged_callbacks AFTER DELETE ON Messages
BEGIN
  DELETE FROM callbacks WHERE message_id = OLD.Id;
  DELETE FROM deliveries WHERE message_id = OLD.Id;
END;
