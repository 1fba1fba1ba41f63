-- Behind the ?1 rows that the purge looked at and left: results that were made anew for old messages. From the beginning once it comes to a
-- message that is not ?2 ms old, since behind that hardly anything can go; where nothing old stays, that is always.
INSERT INTO purge_marks (what, at)
SELECT 'results',
       COALESCE((SELECT CAST(last.message_id AS TEXT)
                   FROM (SELECT message_id FROM results
                          WHERE message_id > COALESCE((SELECT CAST(at AS INTEGER) FROM purge_marks WHERE what = 'results'), 0)
                          ORDER BY message_id LIMIT 1 OFFSET (?1 - 1)) last
                   JOIN Messages m ON m.Id = last.message_id
                  WHERE m.added_ms < CAST(unixepoch('subsec') * 1000 AS INTEGER) - ?2), '')
 WHERE true
ON CONFLICT (what) DO UPDATE SET at = excluded.at WHERE at <> excluded.at
