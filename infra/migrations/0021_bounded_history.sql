-- A message keeps the newest thousand of its transitions, of its callbacks and of their attempts: more is never shown (events.sql, deliveries.sql),
-- while who asks again and cancels, or has a callback sent again, makes more of them without end; and a purge removes all that one message
-- has in one statement. What was there before this is removed as more comes, a hundred at a time.
CREATE TRIGGER IF NOT EXISTS events_cut AFTER INSERT ON events
WHEN NEW.seq > 1000
BEGIN
  DELETE FROM events
   WHERE message_id = NEW.message_id
     AND seq IN (SELECT seq FROM events WHERE message_id = NEW.message_id AND seq <= NEW.seq - 1000 ORDER BY seq LIMIT 100);
END;
-- ;;
CREATE TRIGGER IF NOT EXISTS deliveries_cut AFTER INSERT ON deliveries
WHEN NEW.seq > 1000
BEGIN
  DELETE FROM deliveries
   WHERE message_id = NEW.message_id
     AND seq IN (SELECT seq FROM deliveries WHERE message_id = NEW.message_id AND seq <= NEW.seq - 1000 ORDER BY seq LIMIT 100);
END;
-- ;;
-- Each end of a message makes a callback, and each of its ends took a claim. One that is being sent stays.
CREATE TRIGGER IF NOT EXISTS messages_callbacks_cut AFTER UPDATE OF state ON Messages
WHEN NEW.lease > 1000 AND OLD.state = 'processing' AND NEW.finished_ms IS NOT NULL
BEGIN
  DELETE FROM callbacks
   WHERE id IN (SELECT id FROM callbacks WHERE message_id = NEW.Id ORDER BY id DESC LIMIT 100 OFFSET 1000)
     AND state <> 'processing';
END;
