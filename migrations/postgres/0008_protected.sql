-- A protected tenant is destroyed only when it is named again.
ALTER TABLE tenants ADD COLUMN protected BIGINT NOT NULL DEFAULT 0 CHECK (protected IN (0, 1));
