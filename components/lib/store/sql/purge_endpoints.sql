-- Endpoints that failed once, long ago; and disabled ones for which nothing has waited for as long as messages are kept.
DELETE FROM endpoints
 WHERE (tenant, url) IN (SELECT tenant, url FROM endpoints
                          WHERE (tenant, url) > (SELECT tenant, at FROM purge_marks WHERE what = 'endpoints')
                          ORDER BY tenant, url LIMIT (0 + ?2))
   AND throttled_until IS NULL
   AND (last_failure_day IS NULL OR last_failure_day < (CAST(unixepoch('subsec') * 1000 AS INTEGER) - ?1) / 86400000)
   AND (disabled_ms IS NULL
        OR (disabled_ms < CAST(unixepoch('subsec') * 1000 AS INTEGER) - ?3
            AND NOT EXISTS (SELECT 1 FROM callbacks c WHERE c.tenant = endpoints.tenant AND c.endpoint = endpoints.url AND c.stage = 0)))
RETURNING 1
