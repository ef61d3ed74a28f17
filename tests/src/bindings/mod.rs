//! The host bindings: one file a machine.
