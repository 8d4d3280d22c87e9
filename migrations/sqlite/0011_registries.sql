-- Who an organization pulls images as, by the host of the registry. The password is sealed.
CREATE TABLE registries (
    org         INTEGER NOT NULL REFERENCES organizations (id),
    host        TEXT    NOT NULL,
    username    TEXT    NOT NULL,
    version     INTEGER NOT NULL CHECK (version >= 1),
    sealing_key TEXT    NOT NULL REFERENCES sealing_keys (id),
    sealed      BLOB    NOT NULL,
    actor       TEXT    NOT NULL,
    created_at  INTEGER NOT NULL,
    PRIMARY KEY (org, host)
) STRICT;

CREATE INDEX registries_by_key ON registries (sealing_key, org, host);

-- How often an organization logged in to a registry: the number of the newest version.
ALTER TABLE organizations ADD COLUMN registries_set INTEGER NOT NULL DEFAULT 0;

-- Repositories of images that some organization pulled with its credentials. The engine keeps such images and has no idea whose
-- they are: nobody is given one that the registry does not let them pull.
CREATE TABLE private_images (
    repository TEXT PRIMARY KEY
) STRICT;
