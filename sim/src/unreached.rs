//! Marks that no simulated world reaches, each with its reason. What could be reached should be.

use pillarbox_core::marks::Mark;

/// A mark, and why it is not reached.
pub const UNREACHED: &[(Mark, &str)] = &[];
