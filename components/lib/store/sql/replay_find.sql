-- Callbacks of a time range after the id ?4, in steps. A read of the whole outbox at worst, and it holds up no writer.
SELECT id FROM callbacks
 WHERE id > ?4 AND tenant = ?1 AND finished_ms >= ?2 AND finished_ms < ?3 AND (state IN ('delivered', 'failed') OR stage = 2)
 ORDER BY id LIMIT (0 + ?5)
