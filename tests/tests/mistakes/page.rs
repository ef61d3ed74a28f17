//! The page and the repository say the same: each mistake has its test and each test its mistake, and code that the page
//! takes from a file stands in that file.

use std::collections::BTreeSet;

const PAGE: &str = include_str!("../../../docs/bring-your-own-runtime.md");
const TESTS: &str = include_str!("main.rs");

/// The files that the page quotes.
const QUOTED: [(&str, &str); 3] = [
    ("core/examples/sink_threads.rs", include_str!("../../../core/examples/sink_threads.rs")),
    ("core/examples/sink_tokio.rs", include_str!("../../../core/examples/sink_tokio.rs")),
    ("core/examples/sink/mod.rs", include_str!("../../../core/examples/sink/mod.rs")),
];

#[test]
fn each_mistake_has_its_test() {
    let (_, mistakes) = PAGE.split_once("\n## Ten mistakes\n").unwrap();
    let (mistakes, _) = mistakes.split_once("\n## ").unwrap();
    let mistakes: Vec<_> = mistakes.split("\n### ").skip(1).collect();
    assert_eq!(mistakes.len(), 10);
    let mut named = BTreeSet::new();
    for (number, mistake) in (1..).zip(&mistakes) {
        assert!(mistake.starts_with(&format!("{number}. ")), "{mistake}");
        let tests = mistake.lines().find_map(|line| line.strip_prefix("Test: ").or(line.strip_prefix("Tests: ")));
        let names = tests.unwrap_or_else(|| panic!("no test: {mistake}"));
        for name in names.trim_end_matches('.').split(", ") {
            assert!(named.insert(name.trim_matches('`')), "{name} is named twice");
        }
    }
    let tests: BTreeSet<_> =
        TESTS.split("#[test]\nfn ").skip(1).filter_map(|test| test.split_once('(')).map(|(name, _)| name).collect();
    assert_eq!(named, tests);
}

#[test]
fn quoted_code_is_as_it_stands() {
    let mut quotes = 0;
    for quote in PAGE.split("<!-- ").skip(1) {
        let (file, rest) =
            quote.split_once(" -->\n```rs\n").expect("a comment is followed by the code of the file it names");
        let (code, _) = rest.split_once("\n```\n").unwrap();
        let (_, source) = QUOTED.iter().find(|(name, _)| *name == file).unwrap_or_else(|| panic!("{file}?"));
        assert!(lines(source).contains(&lines(code)), "{file} does not say\n{code}");
        quotes += 1;
    }
    assert_eq!(PAGE.matches("\n```rs\n").count(), quotes, "code says where it comes from");
}

/// Without indentation, and without comments, which the page has in its own words.
fn lines(code: &str) -> String {
    let lines = code.lines().map(str::trim).filter(|line| !line.starts_with("//"));
    lines.map(|line| format!("{line}\n")).collect()
}
