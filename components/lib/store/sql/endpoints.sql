-- The account's endpoints that do not simply take what they get, by URL, without the first ?2. (Not from a URL on: it would stand in the
-- next page's address, and so in logs, and often holds a secret.) One that has succeeded since keeps its row for a while and is not
-- shown. A pause that is over stands until the clock takes it away.
SELECT url, disabled_ms, CASE WHEN throttled_until > CAST(unixepoch('subsec') * 1000 AS INTEGER) THEN throttled_until END, first_failure_ms
  FROM endpoints
 WHERE tenant = ?1
   AND (disabled_ms IS NOT NULL OR first_failure_ms IS NOT NULL OR throttled_until > CAST(unixepoch('subsec') * 1000 AS INTEGER))
 ORDER BY url LIMIT (0 + ?3) OFFSET ?2
