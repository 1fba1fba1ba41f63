-- Behind the ?1 rows that the purge looked at and left; from the beginning when there are no more.
UPDATE purge_marks
   SET at = COALESCE((SELECT host FROM hosts WHERE host > purge_marks.at ORDER BY host LIMIT 1 OFFSET (?1 - 1)), '')
 WHERE what = 'hosts'
