-- A try that was counted as a failure was none.
UPDATE login_failures SET failures = failures - 1 WHERE key = ?1 AND failures > 0
