-- Nothing: a file is one server's. Several share a database only in PostgreSQL.
SELECT 1;
