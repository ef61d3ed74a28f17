//! Runs a node on tokio.
