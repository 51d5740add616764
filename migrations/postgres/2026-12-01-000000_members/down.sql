DROP TABLE lease;
DROP TABLE member;
