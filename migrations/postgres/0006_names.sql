-- Names are unique in an organization without regard to case, and tenants are found by them.
--
-- The index is not unique: an earlier version accepted names that differ in case only, and those tenants stay. What makes new
-- names unique is the spawn's transaction, which looks while it has the organization's turn.

-- The collation makes `lower` change ASCII letters only, which is all a name has, whatever the database's language.
ALTER TABLE tenants ADD COLUMN name_key TEXT GENERATED ALWAYS AS (lower(name COLLATE "C")) STORED;

CREATE INDEX tenants_by_name ON tenants (org, name_key);
