-- The extension stays: other tables of the database may depend on it.
SELECT 1;
