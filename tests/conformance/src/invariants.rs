//! What holds after every operation, asked of the tables themselves.

use trawl_core::limits::outbox::ENDPOINT_IN_FLIGHT_MAX;
use trawl_store::sql::{Rows, Sql};

/// Queries that name what is wrong: each must find nothing. `?1` stands for the slots of an endpoint.
const WRONG: [(&str, &str); 10] = [
    (
        "the queues' counters differ from the rows",
        "SELECT q.kind, q.waiting, q.delayed, q.leased, q.dead FROM queues q
           LEFT JOIN (SELECT type AS kind, SUM(stage IN (0, 1, 3)) w, SUM(stage IS 2) y, SUM(state = 'processing') l,
                             SUM(state = 'failed') d FROM Messages GROUP BY type
                      UNION ALL
                      SELECT 4, SUM(stage IN (0, 1)), SUM(stage IS 2), SUM(state = 'processing'), SUM(state = 'failed') FROM callbacks) r
             ON r.kind = q.kind
          WHERE q.waiting <> COALESCE(r.w, 0) OR q.delayed <> COALESCE(r.y, 0) OR q.leased <> COALESCE(r.l, 0) OR q.dead <> COALESCE(r.d, 0)",
    ),
    (
        "a tenant's counters differ from its rows",
        "SELECT f.tenant, f.kind, f.priority, f.waiting, f.delayed, f.leased, f.dead FROM flows f
           LEFT JOIN (SELECT tenant, type AS kind, priority, SUM(stage IN (0, 1, 3)) w, SUM(stage IS 2) y,
                             SUM(state = 'processing') l, SUM(state = 'failed') d FROM Messages GROUP BY 1, 2, 3
                      UNION ALL
                      SELECT tenant, 4, 0, SUM(stage IN (0, 1)), SUM(stage IS 2), SUM(state = 'processing'), SUM(state = 'failed')
                        FROM callbacks GROUP BY tenant) r
             ON (r.tenant, r.kind, r.priority) = (f.tenant, f.kind, f.priority)
          WHERE f.waiting <> COALESCE(r.w, 0) OR f.delayed <> COALESCE(r.y, 0) OR f.leased <> COALESCE(r.l, 0) OR f.dead <> COALESCE(r.d, 0)",
    ),
    (
        "a host has a free slot and rows that wait for one",
        "SELECT b.host FROM (SELECT DISTINCT host FROM Messages WHERE stage = 0) b, settings s LEFT JOIN hosts h ON h.host = b.host
          WHERE COALESCE(h.gap_ms, s.host_gap_ms) = 0 AND h.paused_until IS NULL
            AND (SELECT COUNT(*) FROM Messages m WHERE m.host = b.host AND m.slot = 1) < COALESCE(h.in_flight_max, s.host_in_flight_max)",
    ),
    (
        "a host with a gap has a free slot and nothing armed for it",
        "SELECT b.host FROM (SELECT DISTINCT host FROM Messages WHERE stage = 0) b, settings s LEFT JOIN hosts h ON h.host = b.host
          WHERE COALESCE(h.gap_ms, s.host_gap_ms) > 0 AND h.paused_until IS NULL
            AND (SELECT COUNT(*) FROM Messages m WHERE m.host = b.host AND m.slot = 1) < COALESCE(h.in_flight_max, s.host_in_flight_max)
            AND NOT EXISTS (SELECT 1 FROM Messages m WHERE m.host = b.host AND m.slot = 1 AND m.state = 'queued')",
    ),
    (
        "a host that asked for a pause has a row that may start",
        "SELECT m.Id FROM Messages m JOIN hosts h ON h.host = m.host
          WHERE h.paused_until > CAST(unixepoch('subsec') * 1000 AS INTEGER) AND m.slot = 1 AND m.state = 'queued'",
    ),
    (
        "an endpoint has more callbacks in its slots than it has",
        "SELECT tenant, endpoint, COUNT(*) FROM callbacks WHERE slot = 1 GROUP BY 1, 2 HAVING COUNT(*) > ?1",
    ),
    (
        "an endpoint has a free slot and callbacks that wait for one",
        "SELECT b.tenant, b.endpoint FROM (SELECT DISTINCT tenant, endpoint FROM callbacks WHERE stage = 0) b
          WHERE NOT EXISTS (SELECT 1 FROM endpoints e WHERE (e.tenant, e.url) = (b.tenant, b.endpoint)
                             AND (e.disabled_ms IS NOT NULL OR e.throttled_until IS NOT NULL))
            AND (SELECT COUNT(*) FROM callbacks c WHERE (c.tenant, c.endpoint) = (b.tenant, b.endpoint) AND c.slot = 1) < ?1",
    ),
    (
        "a result belongs to a message that is not done",
        "SELECT r.message_id FROM results r LEFT JOIN Messages m ON m.Id = r.message_id WHERE m.state IS NOT 'done'",
    ),
    (
        "a finish or a failure left no outbox row, or one too many",
        "SELECT m.Id FROM Messages m WHERE m.callback_url IS NOT NULL
            AND (SELECT COUNT(*) FROM callbacks c WHERE c.message_id = m.Id)
             <> (SELECT COUNT(*) FROM events e WHERE e.message_id = m.Id AND e.from_state = 'processing' AND e.to_state IN ('done', 'failed'))",
    ),
    (
        "the last event is not the state",
        "SELECT m.Id FROM Messages m WHERE m.state
             <> COALESCE((SELECT to_state FROM events e WHERE e.message_id = m.Id ORDER BY seq DESC LIMIT 1), 'queued')",
    ),
];

/// Panics when an invariant does not hold.
pub async fn check<S: Sql>(sql: &S) {
    for (what, query) in WRONG {
        let params = if query.contains("?1") {
            vec![ENDPOINT_IN_FLIGHT_MAX.into()]
        } else {
            vec![]
        };
        let found: Rows = sql.run(query, params).await.unwrap();
        assert!(found.rows.is_empty(), "{what}: {:?}", found.rows);
    }
}
