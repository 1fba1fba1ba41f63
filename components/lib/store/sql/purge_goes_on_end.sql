DELETE FROM purge_marks WHERE what = 'goes_on'
