-- What the throttle decides on; the decision is trawl_core::throttle's.
SELECT failures, first_ms, last_ms, CAST(unixepoch('subsec') * 1000 AS INTEGER) FROM login_failures WHERE key = ?1
