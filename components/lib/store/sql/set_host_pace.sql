-- An operator's word is not overridden by robots.txt. Nothing is written when nothing changes.
INSERT INTO hosts (host, gap_ms, in_flight_max, source) VALUES (?1, ?2, ?3, ?4)
ON CONFLICT (host) DO UPDATE SET gap_ms = excluded.gap_ms, in_flight_max = excluded.in_flight_max, source = excluded.source
 WHERE (source <> 'operator' OR excluded.source = 'operator')
   AND (gap_ms IS NOT excluded.gap_ms OR in_flight_max IS NOT excluded.in_flight_max OR source <> excluded.source)
