-- Behind the ?1 rows that the purge looked at and left; from the beginning when there are no more, where a small table always is.
UPDATE purge_marks SET tenant = new.tenant, at = new.at
  FROM (SELECT COALESCE(MAX(last.tenant), 0) AS tenant, COALESCE(MAX(last.url), '') AS at
          FROM (SELECT tenant, url FROM endpoints
                 WHERE (tenant, url) > (SELECT tenant, at FROM purge_marks WHERE what = 'endpoints')
                 ORDER BY tenant, url LIMIT 1 OFFSET (?1 - 1)) last) new
 WHERE what = 'endpoints' AND (purge_marks.tenant <> new.tenant OR purge_marks.at <> new.at)
