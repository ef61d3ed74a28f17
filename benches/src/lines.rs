//! Lines of code in a folder of Rust files.

use std::fs;
use std::io;
use std::path::Path;

/// Lines in the `.rs` files under `folder` that are neither blank, nor comments, nor tests at the end of a file.
///
/// # Errors
/// When it cannot be read.
pub fn of_code(folder: &Path) -> io::Result<usize> {
    let mut lines = 0;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            lines += of_code(&path)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            lines += in_text(&fs::read_to_string(&path)?);
        }
    }
    Ok(lines)
}

fn in_text(text: &str) -> usize {
    let lines = text.lines().map(str::trim).take_while(|line| *line != "#[cfg(test)]");
    lines.filter(|line| !line.is_empty() && !line.starts_with("//")).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blank_lines_comments_and_tests_do_not_count() {
        assert_eq!(
            in_text("//! What.\n\n/// Why.\nfn f() {\n    // How.\n    g(); // so\n}\n\n#[cfg(test)]\nmod tests {}\n"),
            3
        );
    }
}
