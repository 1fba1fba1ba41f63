-- The dates without the modifier "subsec", which SQLite knows since 3.42: they are computed by whoever reads, and an older library, as
-- Debian 12 and its Python have it, read NULL.
ALTER TABLE Messages DROP COLUMN date_added;
-- ;;
ALTER TABLE Messages ADD COLUMN date_added TEXT
  GENERATED ALWAYS AS (replace(datetime(added_ms / 1000, 'unixepoch'), ' ', 'T') || '.' || substr(1000 + added_ms % 1000, 2) || 'Z') VIRTUAL;
-- ;;
ALTER TABLE Messages DROP COLUMN date_process_complete;
-- ;;
ALTER TABLE Messages ADD COLUMN date_process_complete TEXT
  GENERATED ALWAYS AS (replace(datetime(finished_ms / 1000, 'unixepoch'), ' ', 'T') || '.' || substr(1000 + finished_ms % 1000, 2) || 'Z') VIRTUAL;
