-- A delivery costs a quarter less: what ends is counted once, where its outcome is, instead of twice (leased and dead, then done
-- with the minute), and what only concerns endpoints that failed runs for failures alone. The names of 0004 stay, so that a
-- process that is still at 0004 makes no old trigger anew.
DROP TRIGGER IF EXISTS deliveries_record;
-- ;;
-- An attempt is the transition: its insert was matched with the lease, everything else follows from it.
CREATE TRIGGER IF NOT EXISTS deliveries_record AFTER INSERT ON deliveries
WHEN NEW.outcome = 'delivered'
BEGIN
  UPDATE endpoints SET first_failure_ms = NULL, failing_days = 0, last_failure_day = NULL
   WHERE first_failure_ms IS NOT NULL
     AND (tenant, url) = (SELECT tenant, endpoint FROM callbacks WHERE id = NEW.callback_id);
  UPDATE callbacks SET state = 'delivered', stage = NULL, run_at = NULL, ended_ms = NEW.at_ms, slot = 0, lease_until = NULL
   WHERE id = NEW.callback_id AND state = 'processing' AND lease = NEW.lease;
END;
-- ;;
-- Order matters: the endpoint first, so that the slot that comes free is not handed out while it is held back.
-- 432,000,000 ms are 5 days; the rule (5 days without success, failures on 2 days) is trawl_core::callback_policy's.
CREATE TRIGGER IF NOT EXISTS deliveries_failed AFTER INSERT ON deliveries
WHEN NEW.outcome <> 'delivered'
BEGIN
  INSERT OR IGNORE INTO endpoints (tenant, url) SELECT tenant, endpoint FROM callbacks WHERE id = NEW.callback_id;
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
   WHERE (tenant, url) = (SELECT tenant, endpoint FROM callbacks WHERE id = NEW.callback_id);
  UPDATE callbacks SET
    state = CASE NEW.outcome WHEN 'exhausted' THEN 'failed' ELSE 'pending' END,
    stage = CASE NEW.outcome WHEN 'retry' THEN 2 WHEN 'gone' THEN 0 END,
    run_at = CASE NEW.outcome WHEN 'retry' THEN NEW.next_try_at END,
    ended_ms = CASE NEW.outcome WHEN 'exhausted' THEN NEW.at_ms END,
    slot = 0, lease_until = NULL
   WHERE id = NEW.callback_id AND state = 'processing' AND lease = NEW.lease;
END;
-- ;;
DROP TRIGGER IF EXISTS callbacks_moved;
-- ;;
-- Back into the outbox: given back, to be tried again, or asked for again; and out of a delay.
CREATE TRIGGER IF NOT EXISTS callbacks_moved AFTER UPDATE OF state, stage ON callbacks
WHEN NEW.state = 'pending' AND (OLD.state <> 'pending' OR (OLD.stage IS 2) <> (NEW.stage IS 2))
BEGIN
  UPDATE flows SET
    waiting = waiting - (OLD.state = 'pending' AND OLD.stage <> 2) + (NEW.stage <> 2),
    delayed = delayed - (OLD.stage IS 2) + (NEW.stage IS 2),
    leased = leased - (OLD.state = 'processing'),
    dead = dead - (OLD.state = 'failed')
  WHERE tenant = NEW.tenant AND kind = 4 AND priority = 0;
  UPDATE queues SET
    waiting = waiting - (OLD.state = 'pending' AND OLD.stage <> 2) + (NEW.stage <> 2),
    delayed = delayed - (OLD.stage IS 2) + (NEW.stage IS 2),
    leased = leased - (OLD.state = 'processing'),
    dead = dead - (OLD.state = 'failed')
  WHERE kind = 4;
END;
-- ;;
-- Delivered or given up, which only happens to what is being sent.
CREATE TRIGGER IF NOT EXISTS callbacks_ended AFTER UPDATE OF ended_ms ON callbacks
WHEN OLD.state = 'processing' AND NEW.ended_ms IS NOT NULL
BEGIN
  UPDATE flows SET
    leased = leased - 1,
    dead = dead + (NEW.state = 'failed'),
    added_before = CASE minute WHEN NEW.ended_ms / 60000 THEN added_before WHEN NEW.ended_ms / 60000 - 1 THEN added ELSE 0 END,
    done_before = CASE minute WHEN NEW.ended_ms / 60000 THEN done_before WHEN NEW.ended_ms / 60000 - 1 THEN done ELSE 0 END,
    added = CASE minute WHEN NEW.ended_ms / 60000 THEN added ELSE 0 END,
    done = (NEW.state = 'delivered') + CASE minute WHEN NEW.ended_ms / 60000 THEN done ELSE 0 END,
    minute = NEW.ended_ms / 60000
  WHERE tenant = NEW.tenant AND kind = 4 AND priority = 0;
  UPDATE queues SET
    leased = leased - 1,
    dead = dead + (NEW.state = 'failed'),
    added_before = CASE minute WHEN NEW.ended_ms / 60000 THEN added_before WHEN NEW.ended_ms / 60000 - 1 THEN added ELSE 0 END,
    done_before = CASE minute WHEN NEW.ended_ms / 60000 THEN done_before WHEN NEW.ended_ms / 60000 - 1 THEN done ELSE 0 END,
    added = CASE minute WHEN NEW.ended_ms / 60000 THEN added ELSE 0 END,
    done = (NEW.state = 'delivered') + CASE minute WHEN NEW.ended_ms / 60000 THEN done ELSE 0 END,
    minute = NEW.ended_ms / 60000
  WHERE kind = 4;
END;
-- ;;
-- Between two of these statements another process may have moved a callback uncounted: all are counted anew. (An attempt that was
-- recorded meanwhile did not move its callback, which is then rescued and sent once more, with the same id.)
UPDATE queues
   SET (waiting, delayed, leased, dead) =
       (SELECT COALESCE(SUM(stage IS 0 OR stage IS 1), 0), COALESCE(SUM(stage IS 2), 0),
               COALESCE(SUM(state = 'processing'), 0), COALESCE(SUM(state = 'failed'), 0) FROM callbacks)
 WHERE kind = 4;
-- ;;
UPDATE flows SET waiting = counted.waiting, delayed = counted.delayed, leased = counted.leased, dead = counted.dead
  FROM (SELECT tenant, SUM(stage IS 0 OR stage IS 1) AS waiting, SUM(stage IS 2) AS delayed,
               SUM(state = 'processing') AS leased, SUM(state = 'failed') AS dead
          FROM callbacks GROUP BY tenant) counted
 WHERE flows.kind = 4 AND flows.priority = 0 AND flows.tenant = counted.tenant;
