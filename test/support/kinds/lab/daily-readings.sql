SELECT
  takenOn AS day,
  assay,
  count(*) AS readings,
  CAST(sum(amount) AS DECIMAL(38, 6)) AS total,
  max(takenAt) AS lastAt
FROM readings
WHERE ($from IS NULL OR takenOn >= CAST($from AS DATE))
  AND ($to IS NULL OR takenOn < CAST($to AS DATE))
GROUP BY takenOn, assay; -- the platform orders and pages it
