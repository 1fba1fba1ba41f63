-- Why replay.sql did nothing: the message's state, and whether a callback of it is on its way already.
SELECT m.state, EXISTS (SELECT 1 FROM callbacks c WHERE c.message_id = m.Id)
  FROM Messages m WHERE m.Id = ?1 AND m.tenant = ?2
