-- The list of an account's finished messages by type: with the type outside of the index, a filter that matched little walked all that the
-- account ever had, for everybody who waited for the same reader. Without a filter the three types are three ranges.
CREATE INDEX IF NOT EXISTS messages_closed_by_type ON Messages(tenant, state, type, Id) WHERE finished_ms IS NOT NULL;
-- ;;
DROP INDEX IF EXISTS messages_closed;
