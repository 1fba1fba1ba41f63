INSERT OR IGNORE INTO purge_marks (what) VALUES ('goes_on')
