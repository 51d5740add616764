DROP TABLE audit_sample;
DROP TABLE audit;
