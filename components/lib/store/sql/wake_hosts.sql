-- Hosts that asked for a pause get their slots again; the trigger hands them out. So do those whose pause lies further ahead than a pause
-- may be long (?2): it is left from before the clock was set back. No more than ?1 at once of each.
UPDATE hosts SET paused_until = NULL
 WHERE host IN (
   SELECT * FROM (SELECT host FROM hosts WHERE paused_until <= CAST(unixepoch('subsec') * 1000 AS INTEGER)
                   ORDER BY paused_until LIMIT (0 + ?1))
   UNION ALL
   SELECT * FROM (SELECT host FROM hosts WHERE paused_until > CAST(unixepoch('subsec') * 1000 AS INTEGER) + ?2
                   ORDER BY paused_until DESC LIMIT (0 + ?1)))
RETURNING 1
