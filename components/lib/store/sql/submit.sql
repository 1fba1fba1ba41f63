-- Records a request, unless a limit or its idempotency key forbids it; then no row comes back, and submit_refused.sql says why.
-- key: start-time fair queueing (Goyal et al., SIGCOMM 1996). The start is the greater of the type's virtual time and the
-- virtual finish of the tenant's rows of the same or a higher priority, so a later row of higher priority passes the lower
-- ones, a lower one ages because virtual time moves on, and a quiet tenant's row starts now. Ties go to the priority.
-- The limit of 1 keeps p a thing of its own: merged into the rest, its counts would be made once per mention.
-- A row that has to wait gets the place in its host's backlog from a trigger (messages_lined_up), and this one when it leaves it.
-- slot and stage: the row takes a slot of its host when one is free; a free slot means an empty backlog, but for a host that asked for
-- a pause: there it waits, as all do.
INSERT INTO Messages (user_Id, request_url, type, callback_url, tenant, host, priority, mode, selector, max_age_s,
                      idem_key, body_digest, replica, url_hash, added_ms, key, slot, stage, run_at)
SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?18, ?13, p.ms,
       MAX(q.v, COALESCE((SELECT MAX(finish) FROM flows WHERE tenant = ?5 AND kind = ?3 AND priority >= ?7), 0))
         + (9 - ?7) * 0.01,
       p.slot,
       CASE WHEN p.slot = 0 THEN 0 WHEN p.paced THEN 3 ELSE 1 END,
       CASE WHEN p.slot = 1 AND p.paced THEN p.next_at END
  FROM queues q
  JOIN (SELECT clock.ms, h.next_at,
               -- A gap that lies further ahead than the gap itself is left from before the clock was set back.
               COALESCE(h.next_at > clock.ms AND h.next_at <= clock.ms + COALESCE(h.gap_ms, ?17), 0) AS paced,
               h.paused_until IS NULL
                 AND (SELECT COUNT(*) FROM Messages WHERE host = ?6 AND slot = 1) < COALESCE(h.in_flight_max, ?16)
                 AND (COALESCE(h.gap_ms, ?17) = 0
                      OR NOT EXISTS (SELECT 1 FROM Messages WHERE host = ?6 AND slot = 1 AND state = 'queued')) AS slot
          FROM (SELECT CAST(unixepoch('subsec') * 1000 AS INTEGER) AS ms) clock
          LEFT JOIN hosts h ON h.host = ?6
         LIMIT 1) p
 WHERE q.kind = ?3
   AND (SELECT COALESCE(SUM(waiting + delayed + leased), 0) FROM flows WHERE tenant = ?5 AND kind <= 3) < ?14
   AND (SELECT SUM(waiting + delayed + leased) FROM queues WHERE kind <= 3) < ?15
ON CONFLICT (tenant, idem_key) WHERE idem_key IS NOT NULL DO NOTHING
RETURNING Id,
          (SELECT host_in_flight_max = ?16 AND host_gap_ms = ?17 FROM settings)
