-- A pace that robots.txt asked for ends when it asks no more. An operator's stays.
UPDATE hosts SET gap_ms = NULL, in_flight_max = NULL, source = 'default'
 WHERE host = ?1 AND source = 'robots' AND (gap_ms IS NOT NULL OR in_flight_max IS NOT NULL)
