//! `check`: is the configuration right.

use std::path::Path;

use crate::config::Config;
use crate::failure::Failure;
use crate::print;

/// Checks.
///
/// # Errors
/// Everything that is wrong, a line each.
pub(crate) fn check(dir: &Path) -> Result<(), Failure> {
    let config = Config::read(dir)?;
    print::line(format_args!("{} is right", config.file.display()))?;
    print::flush()
}
