-- Behind the ?1 rows that the purge looked at and left; from the beginning when there are no more.
UPDATE purge_marks
   SET (tenant, at) = (SELECT COALESCE(MAX(last.tenant), 0), COALESCE(MAX(last.url), '')
                         FROM (SELECT e.tenant, e.url FROM endpoints e WHERE (e.tenant, e.url) > (purge_marks.tenant, purge_marks.at)
                                ORDER BY e.tenant, e.url LIMIT 1 OFFSET (?1 - 1)) last)
 WHERE what = 'endpoints'
