-- Why replay.sql did nothing: the message's state, whether it has a callback, which is on its way then, and whether its endpoint is
-- disabled, so that it is not.
SELECT m.state, c.id IS NOT NULL,
       EXISTS (SELECT 1 FROM endpoints e WHERE e.tenant = c.tenant AND e.url = c.endpoint AND e.disabled_ms IS NOT NULL)
  FROM Messages m
  LEFT JOIN callbacks c ON c.id = (SELECT MAX(id) FROM callbacks WHERE message_id = m.Id)
 WHERE m.Id = ?1 AND m.tenant = ?2
