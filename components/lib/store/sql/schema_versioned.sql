-- Never back: a newer process may have migrated further in the meantime.
INSERT INTO schema_version (one, version) VALUES (1, ?1)
ON CONFLICT (one) DO UPDATE SET version = MAX(version, excluded.version)
