-- Records an attempt. Only under the current lease; the insert's trigger moves the callback and its endpoint.
INSERT INTO deliveries (message_id, seq, callback_id, lease, webhook_id, attempt, at_ms, status, latency_ms, error, outcome,
                        next_try_at, throttle_until)
SELECT c.message_id, (SELECT COALESCE(MAX(d.seq), 0) + 1 FROM deliveries d WHERE d.message_id = c.message_id),
       c.id, c.lease, c.webhook_id, c.attempt, n.ms, ?3, ?4, ?5, ?6, n.ms + ?7, n.ms + ?8
  FROM callbacks c, (SELECT CAST(unixepoch('subsec') * 1000 AS INTEGER) AS ms) n
 WHERE c.id = ?1 AND c.lease = ?2 AND c.state = 'processing'
RETURNING callback_id
