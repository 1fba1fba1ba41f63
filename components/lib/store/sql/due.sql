-- What the clock has to do. A read, so that an idle tick costs no write. Paced rows are due when the gap of their host is over, and
-- when they lie further ahead than that gap, as wake_paced.sql tells; ?1 of each type are looked at for that. Pauses of hosts that lie
-- further ahead than ?2 are over too, as wake_hosts.sql tells.
SELECT EXISTS (SELECT 1 FROM Messages WHERE stage = 2 AND run_at <= clock.ms),
       EXISTS (SELECT 1 FROM Messages INDEXED BY messages_paced WHERE stage = 3 AND type = 1 AND run_at <= clock.ms)
         OR EXISTS (SELECT 1 FROM Messages INDEXED BY messages_paced WHERE stage = 3 AND type = 2 AND run_at <= clock.ms)
         OR EXISTS (SELECT 1 FROM Messages INDEXED BY messages_paced WHERE stage = 3 AND type = 3 AND run_at <= clock.ms)
         OR EXISTS (SELECT 1
                      FROM settings s
                      CROSS JOIN (SELECT * FROM (SELECT host, run_at FROM Messages INDEXED BY messages_paced
                                                   WHERE stage = 3 AND type = 1 AND run_at > clock.ms ORDER BY run_at DESC LIMIT (0 + ?1))
                                  UNION ALL
                                  SELECT * FROM (SELECT host, run_at FROM Messages INDEXED BY messages_paced
                                                   WHERE stage = 3 AND type = 2 AND run_at > clock.ms ORDER BY run_at DESC LIMIT (0 + ?1))
                                  UNION ALL
                                  SELECT * FROM (SELECT host, run_at FROM Messages INDEXED BY messages_paced
                                                   WHERE stage = 3 AND type = 3 AND run_at > clock.ms ORDER BY run_at DESC LIMIT (0 + ?1))) far
                      LEFT JOIN hosts h ON h.host = far.host
                     WHERE far.run_at > clock.ms + COALESCE(h.gap_ms, s.host_gap_ms)),
       EXISTS (SELECT 1 FROM hosts WHERE paused_until <= clock.ms)
         OR EXISTS (SELECT 1 FROM hosts WHERE paused_until > clock.ms + ?2),
       EXISTS (SELECT 1 FROM callbacks WHERE stage = 2 AND run_at <= clock.ms),
       EXISTS (SELECT 1 FROM endpoints WHERE throttled_until IS NOT NULL AND throttled_until <= clock.ms),
       EXISTS (SELECT 1 FROM Messages WHERE state = 'processing' AND lease_until < clock.ms),
       EXISTS (SELECT 1 FROM callbacks WHERE state = 'processing' AND lease_until < clock.ms)
  FROM (SELECT CAST(unixepoch('subsec') * 1000 AS INTEGER) AS ms) clock
