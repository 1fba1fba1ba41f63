-- Which leases still stand; ?1 is [[id, lease], …]. A read, so that it can be asked often: cancel.sql takes a job from its worker at once.
SELECT m.Id
  FROM json_each(?1) j
  CROSS JOIN Messages m ON m.Id = json_extract(j.value, '$[0]')
 WHERE m.lease = json_extract(j.value, '$[1]') AND m.state = 'processing'
