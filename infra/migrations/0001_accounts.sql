-- Accounts, their keys and secrets, and the login throttle.
-- Statements are separated by a line `-- ;;`, and each may run again: two processes may start together.
-- Expand, then contract: a migration only adds; what it replaces is dropped by a later release.

CREATE TABLE IF NOT EXISTS schema_version (
  one     INTEGER PRIMARY KEY CHECK (one = 1),
  version INTEGER NOT NULL
);
-- ;;
CREATE TABLE IF NOT EXISTS accounts (
  id                    INTEGER PRIMARY KEY AUTOINCREMENT,  -- a tenant's id is never given to another
  email                 TEXT NOT NULL,
  email_key             TEXT NOT NULL UNIQUE,               -- normalised: one mailbox, one account
  password_hash         TEXT NOT NULL,
  created_ms            INTEGER NOT NULL,
  webhook_secret        BLOB,
  webhook_secret_before BLOB,                               -- signs too for 24 h after a rotation
  webhook_rotated_ms    INTEGER
);
-- ;;
CREATE TABLE IF NOT EXISTS api_keys (
  id           INTEGER PRIMARY KEY AUTOINCREMENT,
  account      INTEGER NOT NULL REFERENCES accounts(id) ON DELETE CASCADE,
  name         TEXT NOT NULL,
  digest       BLOB NOT NULL UNIQUE,                        -- SHA-256; the key itself is shown once and not kept
  created_ms   INTEGER NOT NULL,
  last_used_ms INTEGER                                      -- to the hour, so that a busy key is not a write per request
);
-- ;;
CREATE INDEX IF NOT EXISTS api_keys_account ON api_keys(account);
-- ;;
CREATE TABLE IF NOT EXISTS login_failures (
  key      TEXT PRIMARY KEY,                                -- `name:…` or `ip:…`, whether or not the name exists
  failures INTEGER NOT NULL,
  first_ms INTEGER NOT NULL,
  last_ms  INTEGER NOT NULL
) WITHOUT ROWID;
-- ;;
CREATE INDEX IF NOT EXISTS login_failures_last ON login_failures(last_ms);
