//! How a Python application becomes an image and a service.
