-- Whether a purge has left something behind, in whichever instance it ran.
SELECT EXISTS (SELECT 1 FROM purge_marks WHERE what = 'goes_on')
