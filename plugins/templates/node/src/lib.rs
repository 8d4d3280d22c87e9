//! How a Node.js application becomes an image and a service.
