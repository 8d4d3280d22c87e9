//! Durable state in SQLite or PostgreSQL. The only user of sqlx.
