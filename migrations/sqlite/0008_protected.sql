-- A protected tenant is destroyed only when it is named again.
ALTER TABLE tenants ADD COLUMN protected INTEGER NOT NULL DEFAULT 0 CHECK (protected IN (0, 1));
