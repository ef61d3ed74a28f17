//! A table in a README that a program keeps up to date: what stands between two HTML comments is replaced.

use std::fs;
use std::io;
use std::path::Path;

/// Replaces what stands between `<!-- NAME -->` and `<!-- /NAME -->`, each on a line of its own.
///
/// # Errors
/// When the file cannot be read or written, or has no such comments.
pub fn replace(file: &Path, name: &str, table: &str) -> io::Result<()> {
    let text = fs::read_to_string(file)?;
    let new = replaced(&text, name, table)
        .ok_or_else(|| io::Error::other(format!("{} has no <!-- {name} --> … <!-- /{name} -->", file.display())))?;
    fs::write(file, new)
}

fn replaced(text: &str, name: &str, table: &str) -> Option<String> {
    let (open, close) = (format!("<!-- {name} -->\n"), format!("<!-- /{name} -->"));
    let (before, rest) = text.split_once(&open)?;
    let (_, after) = rest.split_once(&close)?;
    Some(format!("{before}{open}{}\n{close}{after}", table.trim_end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stands_between_the_comments_changes() {
        let text = "a\n<!-- t -->\nold\nold\n<!-- /t -->\nb\n";
        assert_eq!(replaced(text, "t", "new\n").unwrap(), "a\n<!-- t -->\nnew\n<!-- /t -->\nb\n");
        assert_eq!(replaced(text, "u", "new"), None);
    }
}
