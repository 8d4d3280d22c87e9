-- Values that the database keeps and cannot read. The keys are in a file of the server, not here.
--
-- Each key that sealed something, with a known text sealed by it: a server whose key of this id is another one learns so when
-- it starts.
CREATE TABLE sealing_keys (
    id         TEXT    PRIMARY KEY,
    -- In the order in which they began to seal: the last one seals.
    number     BIGINT NOT NULL UNIQUE,
    proof      BYTEA   NOT NULL,
    created_at BIGINT NOT NULL
);

-- Variables of tenants whose values are secret. Which versions a revision has is in its spec.
CREATE TABLE secrets (
    tenant      TEXT    NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    name        TEXT    NOT NULL,
    version     BIGINT NOT NULL CHECK (version >= 1),
    sealing_key TEXT    NOT NULL REFERENCES sealing_keys (id),
    sealed      BYTEA   NOT NULL,
    actor       TEXT    NOT NULL,
    created_at  BIGINT NOT NULL,
    PRIMARY KEY (tenant, name, version)
);

CREATE INDEX secrets_by_key ON secrets (sealing_key, tenant, name, version);

-- How often a tenant's configuration was changed without a deployment.
ALTER TABLE tenants ADD COLUMN staged BIGINT NOT NULL DEFAULT 0;
-- How often a secret of it was set: the number of the newest version.
ALTER TABLE tenants ADD COLUMN secrets_set BIGINT NOT NULL DEFAULT 0;
