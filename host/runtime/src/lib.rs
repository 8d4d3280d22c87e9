//! Runs containers. The only user of bollard.
