//! Runs untrusted WebAssembly components under hard limits. The only user of wasmtime.
