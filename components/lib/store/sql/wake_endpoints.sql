-- Endpoints that asked for a pause get their callbacks again; the trigger hands out slots.
UPDATE endpoints SET throttled_until = NULL
 WHERE throttled_until IS NOT NULL AND throttled_until <= CAST(unixepoch('subsec') * 1000 AS INTEGER)
RETURNING 1
