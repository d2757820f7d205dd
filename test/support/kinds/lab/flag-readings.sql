UPDATE readings
SET valid = FALSE, note = $note
WHERE amount < CAST($below AS DECIMAL(18, 6))
  AND ($assays IS NULL OR list_contains(CAST($assays AS VARCHAR[]), assay));

-- the result: one row
SELECT
  count(*) FILTER (WHERE amount < CAST($below AS DECIMAL(18, 6)) AND note = $note) AS flagged,
  count(*) AS invalid,
  min(amount) AS lowest
FROM readings
WHERE NOT valid;
