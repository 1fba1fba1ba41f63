-- The defaults as triggers see them. Runs only when the configuration changed.
UPDATE settings SET host_in_flight_max = ?1, host_gap_ms = ?2
 WHERE host_in_flight_max <> ?1 OR host_gap_ms <> ?2
