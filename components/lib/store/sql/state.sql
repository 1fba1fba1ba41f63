-- Why a change by the owner did nothing: the state it met.
SELECT state FROM Messages WHERE Id = ?1 AND tenant = ?2
