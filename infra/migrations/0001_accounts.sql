-- Accounts, their keys and secrets, and the login throttle.
-- Statements are separated by a line `-- ;;`, and each may run again: two processes may start together.
-- A migration adds first and drops what it replaces last, so that a program of the version before goes on beside it (ARCHITECTURE.md, "A
-- new migration"); 0006, 0008 and 0010 are older than that rule. What holds of a trigger or a column is in the last file that names it.

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
