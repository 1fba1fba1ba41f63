-- Endpoints that asked for a pause get their callbacks again; the trigger hands out slots. A node may call a URL of its own for each
-- message, so that very many end their pause together: no more than ?1 at once.
UPDATE endpoints SET throttled_until = NULL
 WHERE (tenant, url) IN (SELECT tenant, url FROM endpoints
                          WHERE throttled_until IS NOT NULL AND throttled_until <= CAST(unixepoch('subsec') * 1000 AS INTEGER)
                          ORDER BY throttled_until LIMIT (0 + ?1))
RETURNING 1
