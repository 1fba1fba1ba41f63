-- The queue. What each column, index and trigger is for stands in components/lib/store/README.md.
-- CHECKs and generated columns say OR where IN would be shorter: SQLite makes a table in memory for a list of more than two, at each
-- row that a trigger writes. (They are computed at each write; so too the dates, which 0010 makes anew, for which datetime is twice as quick as strftime.)

CREATE TABLE IF NOT EXISTS Messages (
  Id              INTEGER PRIMARY KEY,
  user_Id         TEXT,
  request_url     TEXT NOT NULL,
  type            INTEGER NOT NULL CHECK (type BETWEEN 1 AND 3),
  callback_url    TEXT,
  tenant          INTEGER NOT NULL,
  host            TEXT NOT NULL,
  priority        INTEGER NOT NULL CHECK (priority BETWEEN 0 AND 9),
  mode            TEXT NOT NULL,
  selector        TEXT,
  max_age_s       INTEGER,
  idem_key        TEXT,
  body_digest     BLOB NOT NULL,
  url_hash        INTEGER NOT NULL,
  added_ms        INTEGER NOT NULL,
  state           TEXT NOT NULL DEFAULT 'queued'
                  CHECK (state = 'queued' OR state = 'processing' OR state = 'done' OR state = 'failed' OR state = 'cancelled'),
  -- Where a queued row stands: 0 backlog (its host has no free slot), 1 ready, 2 delayed (retry), 3 paced (host's gap).
  stage           INTEGER CHECK (stage BETWEEN 0 AND 3),
  -- Whether the row takes one of its host's slots. Stored, though it follows from state and stage,
  -- so that a claim does not touch the index over it.
  slot            INTEGER NOT NULL DEFAULT 0,
  key             REAL NOT NULL,
  run_at          INTEGER,
  attempt         INTEGER NOT NULL DEFAULT 0,
  lease           INTEGER NOT NULL DEFAULT 0,
  lease_until     INTEGER,
  deadline_at     INTEGER,
  worker          TEXT,
  crash_count     INTEGER NOT NULL DEFAULT 0 CHECK (crash_count BETWEEN 0 AND 3),
  error_code      TEXT,
  error_detail    TEXT,
  error_permanent INTEGER,
  finished_ms     INTEGER,
  is_processed    INTEGER GENERATED ALWAYS AS (state = 'done' OR state = 'failed' OR state = 'cancelled') VIRTUAL,
  is_processing   INTEGER GENERATED ALWAYS AS (state = 'processing') VIRTUAL,
  date_added      TEXT GENERATED ALWAYS AS (replace(datetime(added_ms / 1000.0, 'unixepoch', 'subsec'), ' ', 'T') || 'Z') VIRTUAL,
  date_process_complete TEXT GENERATED ALWAYS AS (replace(datetime(finished_ms / 1000.0, 'unixepoch', 'subsec'), ' ', 'T') || 'Z') VIRTUAL,
  CONSTRAINT queued_has_stage CHECK ((state = 'queued') = (stage IS NOT NULL)),
  CONSTRAINT timed_stage_has_run_at CHECK ((stage IS 2 OR stage IS 3) = (run_at IS NOT NULL)),
  CONSTRAINT slot_follows_state CHECK (slot = (state = 'processing' OR stage IS 1 OR stage IS 3)),
  CONSTRAINT processing_has_lease CHECK ((state = 'processing') = (lease_until IS NOT NULL)),
  CONSTRAINT processing_has_worker CHECK (state <> 'processing' OR (worker IS NOT NULL AND deadline_at IS NOT NULL)),
  CONSTRAINT terminal_has_time CHECK ((state = 'done' OR state = 'failed' OR state = 'cancelled') = (finished_ms IS NOT NULL)),
  CONSTRAINT failed_has_error CHECK (state <> 'failed' OR error_code IS NOT NULL)
);
-- ;;
-- The claim: ready rows of a type, best first; rows that were in flight in a crash stand apart. Bounded by the hosts' slots.
CREATE INDEX IF NOT EXISTS messages_ready ON Messages(type, (crash_count > 0), key) WHERE stage = 1;
-- ;;
-- Rows that wait for their host's gap, at most one per host.
CREATE INDEX IF NOT EXISTS messages_paced ON Messages(type, run_at) WHERE stage = 3;
-- ;;
-- The rest of a busy host's rows, out of the claim's sight, best first.
CREATE INDEX IF NOT EXISTS messages_backlog ON Messages(host, key) WHERE stage = 0;
-- ;;
CREATE INDEX IF NOT EXISTS messages_delayed ON Messages(run_at) WHERE stage = 2;
-- ;;
CREATE INDEX IF NOT EXISTS messages_slots ON Messages(host) WHERE slot = 1;
-- ;;
CREATE INDEX IF NOT EXISTS messages_leased ON Messages(lease_until) WHERE state = 'processing';
-- ;;
-- Unfinished and finished rows of a tenant: lists, and the oldest waiting row. Not touched by a claim.
CREATE INDEX IF NOT EXISTS messages_open ON Messages(tenant, type, Id) WHERE finished_ms IS NULL;
-- ;;
CREATE INDEX IF NOT EXISTS messages_closed ON Messages(tenant, state, Id) WHERE finished_ms IS NOT NULL;
-- ;;
CREATE UNIQUE INDEX IF NOT EXISTS messages_idem ON Messages(tenant, idem_key) WHERE idem_key IS NOT NULL;
-- ;;
-- One row per type, and 4 for the callbacks: virtual time and totals.
CREATE TABLE IF NOT EXISTS queues (
  kind          INTEGER PRIMARY KEY CHECK (kind BETWEEN 1 AND 4),
  v             REAL NOT NULL DEFAULT 0,       -- virtual time: the greatest key claimed so far
  waiting       INTEGER NOT NULL DEFAULT 0 CHECK (waiting >= 0),
  delayed       INTEGER NOT NULL DEFAULT 0 CHECK (delayed >= 0),
  leased        INTEGER NOT NULL DEFAULT 0 CHECK (leased >= 0),
  dead          INTEGER NOT NULL DEFAULT 0 CHECK (dead >= 0),
  minute        INTEGER NOT NULL DEFAULT 0,    -- the minute that added and done count in; _before is the one before it
  added         INTEGER NOT NULL DEFAULT 0,
  done          INTEGER NOT NULL DEFAULT 0,
  added_before  INTEGER NOT NULL DEFAULT 0,
  done_before   INTEGER NOT NULL DEFAULT 0
);
-- ;;
INSERT OR IGNORE INTO queues (kind) VALUES (1), (2), (3), (4);
-- ;;
-- One row per tenant, type and priority: its place in the fair order, and the tenant's share of the totals.
CREATE TABLE IF NOT EXISTS flows (
  tenant        INTEGER NOT NULL,
  kind          INTEGER NOT NULL,
  priority      INTEGER NOT NULL,
  finish        REAL NOT NULL DEFAULT 0,       -- virtual finish of its last row
  charge        REAL NOT NULL DEFAULT 1 CHECK (charge > 0),  -- 1 / weight; an operator may change it
  waiting       INTEGER NOT NULL DEFAULT 0 CHECK (waiting >= 0),
  delayed       INTEGER NOT NULL DEFAULT 0 CHECK (delayed >= 0),
  leased        INTEGER NOT NULL DEFAULT 0 CHECK (leased >= 0),
  dead          INTEGER NOT NULL DEFAULT 0 CHECK (dead >= 0),
  minute        INTEGER NOT NULL DEFAULT 0,
  added         INTEGER NOT NULL DEFAULT 0,
  done          INTEGER NOT NULL DEFAULT 0,
  added_before  INTEGER NOT NULL DEFAULT 0,
  done_before   INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (tenant, kind, priority)
) WITHOUT ROWID;
-- ;;
-- Which tenants have something waiting: those with little in flight are looked for among them (claim_spare.sql).
CREATE INDEX IF NOT EXISTS flows_waiting ON flows(kind, tenant) WHERE waiting > 0;
-- ;;
-- Defaults that triggers need; `submit` keeps them equal to the configuration.
CREATE TABLE IF NOT EXISTS settings (
  one                INTEGER PRIMARY KEY CHECK (one = 1),
  host_in_flight_max INTEGER NOT NULL,
  host_gap_ms        INTEGER NOT NULL
);
-- ;;
INSERT OR IGNORE INTO settings (one, host_in_flight_max, host_gap_ms) VALUES (1, 4, 0);
-- ;;
-- Only hosts with a pace of their own, or whose gap has been used: NULL means the default.
CREATE TABLE IF NOT EXISTS hosts (
  host          TEXT PRIMARY KEY,
  in_flight_max INTEGER CHECK (in_flight_max > 0),
  gap_ms        INTEGER CHECK (gap_ms >= 0),
  source        TEXT NOT NULL DEFAULT 'default' CHECK (source = 'default' OR source = 'robots' OR source = 'operator'),
  next_at       INTEGER NOT NULL DEFAULT 0     -- no start before this
) WITHOUT ROWID;
-- ;;
-- Results stand apart, so that the queue's pages hold no page bodies. The body is last: a row's head is read without it.
CREATE TABLE IF NOT EXISTS results (
  message_id    INTEGER PRIMARY KEY,
  tenant        INTEGER NOT NULL,
  type          INTEGER NOT NULL,
  url_hash      INTEGER NOT NULL,
  lease         INTEGER NOT NULL,
  stored_ms     INTEGER NOT NULL,
  http_status   INTEGER NOT NULL,
  final_url     TEXT NOT NULL,
  content_type  TEXT NOT NULL,
  encoding      TEXT NOT NULL,
  etag          TEXT,
  last_modified TEXT,
  meta          TEXT NOT NULL,
  body          BLOB NOT NULL
);
-- ;;
-- The last result of a URL, by a hash of tenant, type and URL: one integer instead of a long text per entry.
CREATE INDEX IF NOT EXISTS results_url ON results(url_hash);
-- ;;
-- Every transition but the insertion, which date_added tells.
CREATE TABLE IF NOT EXISTS events (
  message_id INTEGER NOT NULL,
  seq        INTEGER NOT NULL,
  at_ms      INTEGER NOT NULL,
  from_state TEXT NOT NULL,
  to_state   TEXT NOT NULL,
  lease      INTEGER NOT NULL,
  worker     TEXT,
  reason     TEXT NOT NULL,
  PRIMARY KEY (message_id, seq)
) WITHOUT ROWID;
-- ;;
CREATE TABLE IF NOT EXISTS robots (
  authority  TEXT PRIMARY KEY,
  state      TEXT NOT NULL,
  fetched_ms INTEGER NOT NULL,
  expires_ms INTEGER NOT NULL,
  body       BLOB NOT NULL
) WITHOUT ROWID;
-- ;;
CREATE INDEX IF NOT EXISTS robots_expires ON robots(expires_ms);
-- ;;
-- Malformed requests of Redis producers, with the reason.
CREATE TABLE IF NOT EXISTS dead_requests (
  id     INTEGER PRIMARY KEY,
  at_ms  INTEGER NOT NULL,
  source TEXT NOT NULL,
  reason TEXT NOT NULL,
  body   BLOB NOT NULL
);
