//! Plan to guard to Dockerfile and Compose text. Pure.
