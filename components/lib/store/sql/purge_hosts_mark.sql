-- Behind the ?1 rows that the purge looked at and left; from the beginning when there are no more, where a small table always is.
UPDATE purge_marks SET at = new.at
  FROM (SELECT COALESCE((SELECT host FROM hosts WHERE host > (SELECT at FROM purge_marks WHERE what = 'hosts')
                          ORDER BY host LIMIT 1 OFFSET (?1 - 1)), '') AS at) new
 WHERE what = 'hosts' AND purge_marks.at <> new.at
