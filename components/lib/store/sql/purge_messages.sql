-- Terminal messages past their age, with all that belongs to them (triggers). Never the newest one: ids are not used twice.
-- A message whose callback is on its way stays until that is over, and one whose callback may be tried again stays for ?4 ms, which is
-- longer than the schedule. What waits for a disabled endpoint goes with its message.
-- ?3 are looked at, behind those that the purges before left.
DELETE FROM Messages
 WHERE Id IN (SELECT Id
                FROM (SELECT Id, finished_ms FROM Messages
                       WHERE Id > COALESCE((SELECT CAST(at AS INTEGER) FROM purge_marks WHERE what = 'messages'), 0)
                       ORDER BY Id LIMIT (0 + ?3))
               WHERE finished_ms < CAST(unixepoch('subsec') * 1000 AS INTEGER) - ?1 LIMIT (0 + ?2))
   AND Id < (SELECT MAX(Id) FROM Messages)
   AND NOT EXISTS (SELECT 1 FROM callbacks c WHERE c.message_id = Messages.Id
                     AND (c.state = 'processing'
                          OR (c.state = 'pending' AND c.finished_ms > CAST(unixepoch('subsec') * 1000 AS INTEGER) - ?4
                              AND NOT EXISTS (SELECT 1 FROM endpoints e
                                               WHERE e.tenant = c.tenant AND e.url = c.endpoint AND e.disabled_ms IS NOT NULL))))
RETURNING 1
