-- How much was done and how much failed since this schema is there: the rates forget after a minute, and rows are purged. In triggers of
-- their own, since one that also moves other counters could not be put in the place of another without a moment in which there are two
-- of them, or none.
ALTER TABLE queues ADD COLUMN done_total INTEGER NOT NULL DEFAULT 0;
-- ;;
ALTER TABLE queues ADD COLUMN failed_total INTEGER NOT NULL DEFAULT 0;
-- ;;
CREATE TRIGGER IF NOT EXISTS messages_totalled AFTER UPDATE OF state ON Messages
WHEN OLD.state = 'processing' AND (NEW.state = 'done' OR NEW.state = 'failed')
BEGIN
  UPDATE queues SET done_total = done_total + (NEW.state = 'done'), failed_total = failed_total + (NEW.state = 'failed')
   WHERE kind = NEW.type;
END;
-- ;;
-- A callback that is delivered, or given up at the end of its schedule.
CREATE TRIGGER IF NOT EXISTS callbacks_totalled AFTER UPDATE OF ended_ms ON callbacks
WHEN OLD.state = 'processing' AND NEW.ended_ms IS NOT NULL
BEGIN
  UPDATE queues SET done_total = done_total + (NEW.state = 'delivered'), failed_total = failed_total + (NEW.state = 'failed')
   WHERE kind = 4;
END;
