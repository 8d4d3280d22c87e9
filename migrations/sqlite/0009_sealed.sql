-- Values that the database keeps and cannot read. The keys are in a file of the server, not here.
--
-- Each key that sealed something, with a known text sealed by it: a server whose key of this id is another one learns so when
-- it starts.
CREATE TABLE sealing_keys (
    id         TEXT    PRIMARY KEY,
    -- In the order in which they began to seal: the last one seals.
    number     INTEGER NOT NULL UNIQUE,
    proof      BLOB    NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

-- Variables of tenants whose values are secret. Which versions a revision has is in its spec.
CREATE TABLE secrets (
    tenant      TEXT    NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    name        TEXT    NOT NULL,
    version     INTEGER NOT NULL CHECK (version >= 1),
    sealing_key TEXT    NOT NULL REFERENCES sealing_keys (id),
    sealed      BLOB    NOT NULL,
    actor       TEXT    NOT NULL,
    created_at  INTEGER NOT NULL,
    PRIMARY KEY (tenant, name, version)
) STRICT;

CREATE INDEX secrets_by_key ON secrets (sealing_key, tenant, name, version);

-- How often a tenant's configuration was changed without a deployment.
ALTER TABLE tenants ADD COLUMN staged INTEGER NOT NULL DEFAULT 0;
-- How often a secret of it was set: the number of the newest version.
ALTER TABLE tenants ADD COLUMN secrets_set INTEGER NOT NULL DEFAULT 0;
