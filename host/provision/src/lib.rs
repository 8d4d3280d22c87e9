//! What can be done to a tenant: durable operations and the engine that runs them.
