//! How a Go application becomes an image and a service.
