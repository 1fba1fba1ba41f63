-- Behind the ?1 rows that the purge looked at and left, such as those that were asked for again. From the beginning once it comes to one
-- that is not ?2 ms old, since behind that hardly anything can go; where nothing old stays, that is always.
INSERT INTO purge_marks (what, at)
SELECT 'messages',
       COALESCE((SELECT CAST(last.Id AS TEXT)
                   FROM (SELECT Id, added_ms FROM Messages
                          WHERE Id > COALESCE((SELECT CAST(at AS INTEGER) FROM purge_marks WHERE what = 'messages'), 0)
                          ORDER BY Id LIMIT 1 OFFSET (?1 - 1)) last
                  WHERE last.added_ms < CAST(unixepoch('subsec') * 1000 AS INTEGER) - ?2), '')
 WHERE true
ON CONFLICT (what) DO UPDATE SET at = excluded.at WHERE at <> excluded.at
