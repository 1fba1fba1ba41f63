-- A message keeps the newest thousand of its transitions, and of its callback attempts: more is never shown (events.sql, deliveries.sql),
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
