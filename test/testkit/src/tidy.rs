//! The law for single files: what every file has, and what none contains.

use std::sync::LazyLock;

use regex::Regex;

use crate::layers::Law;

/// Where a piece of text stands in the tree, as far as the rules care.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FileKind {
    Source,
    Test,
    Generated,
    Other,
}

/// Returns everything wrong with one tracked file, a line each. `path` is relative to the root.
#[must_use]
pub fn check_file(law: &Law, path: &str, text: &str) -> Vec<String> {
    let kind = kind_of(law, path);
    let mut wrong = Vec::new();
    check_strangers(path, text, &mut wrong);
    if kind == FileKind::Other {
        return wrong;
    }
    if kind != FileKind::Generated && !text.starts_with("//!") {
        wrong.push(format!("{path}: does not open with //! (what it is for, where it stands)"));
    }
    if kind == FileKind::Source && text.lines().count() > law.files.lines_max {
        wrong.push(format!("{path}: more than {} lines", law.files.lines_max));
    }
    check_words(path, text, &unfinished(), &mut wrong);
    if path.starts_with(&format!("{}/", law.pure.folder)) && !path.contains("/examples/") {
        let words: Vec<&str> = law.pure.words.iter().map(String::as_str).collect();
        check_words(path, text, &words, &mut wrong);
    }
    wrong
}

fn kind_of(law: &Law, path: &str) -> FileKind {
    if !path.ends_with(".rs") {
        FileKind::Other
    } else if law.files.generated.iter().any(|folder| path.starts_with(&format!("{folder}/"))) {
        FileKind::Generated
    } else if path.split('/').any(|part| matches!(part, "tests" | "tests.rs" | "benches")) || path.starts_with("test/")
    {
        FileKind::Test
    } else {
        FileKind::Source
    }
}

/// Marks of work that is not done. Put together from parts, so that this file passes its own check.
fn unfinished() -> [&'static str; 3] {
    [concat!("#[ign", "ore"), concat!("to", "do!("), concat!("unimple", "mented!(")]
}

/// Complains about each of `words` in code; comments may speak of them.
fn check_words(path: &str, text: &str, words: &[&str], wrong: &mut Vec<String>) {
    for (index, line) in text.lines().enumerate() {
        let code = without_comment(line);
        for word in words.iter().filter(|word| contains_word(code, word)) {
            wrong.push(format!("{path}:{}: contains {word}", index + 1));
        }
    }
}

fn without_comment(line: &str) -> &str {
    // Not the two slashes of a URL.
    match line.match_indices("//").find(|(at, _)| *at == 0 || line.as_bytes()[at - 1] != b':') {
        Some((at, _)) => &line[..at],
        None => line,
    }
}

fn contains_word(code: &str, word: &str) -> bool {
    let part_of_name = |other: Option<char>| other.is_some_and(|c| c.is_alphanumeric() || c == '_');
    code.match_indices(word).any(|(at, _)| {
        let grows_left =
            word.starts_with(|c: char| c.is_alphanumeric()) && part_of_name(code[..at].chars().next_back());
        let rest = &code[at + word.len()..];
        let grows_right = word.ends_with(|c: char| c.is_alphanumeric()) && part_of_name(rest.chars().next());
        !grows_left && !grows_right
    })
}

static MACHINE_PATH: LazyLock<Regex> =
    LazyLock::new(|| pattern(concat!(r#"(^|[\s"'(=:`])/"#, r"(work|root|home/\w+|tmp/kmn)/\w|\.\./sh", "ared")));
static REGISTRY: LazyLock<Regex> =
    LazyLock::new(|| pattern(r#"https?://[^/\s"]*(registry|mirror|artifact|pypi|crates\.io)[^/\s"]*[/\s]"#));

/// Complains about what ties the tree to one machine: its paths, and hosts that packages come from.
fn check_strangers(path: &str, text: &str, wrong: &mut Vec<String>) {
    // Cargo writes the name of its default registry into the lock file, on every machine the same.
    if path == "Cargo.lock" {
        return;
    }
    for (index, line) in text.lines().enumerate() {
        if let Some(found) = MACHINE_PATH.find(line) {
            wrong.push(format!("{path}:{}: names a path of one machine: {}", index + 1, found.as_str().trim()));
        }
        if let Some(found) = REGISTRY.find(line) {
            wrong.push(format!("{path}:{}: names a registry: {}", index + 1, found.as_str()));
        }
    }
}

fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("the pattern is a constant of this file, used by its tests")
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;
    use crate::layers::read_law;

    #[track_caller]
    fn check(path: &str, text: &str, expected: Expect) {
        let law = read_law(
            r#"
            layer = []
            pure = { folder = "crates/core", words = ["HashMap", "tokio", "std::fs"] }
            files = { lines_max = 3, generated = ["crates/io/cri/src/generated"] }
            "#,
        )
        .unwrap();
        expected.assert_eq(&check_file(&law, path, text).join("\n"));
    }

    #[test]
    fn a_good_file_passes() {
        check("crates/core/a/src/lib.rs", "//! A core.\n// No tokio here.\nstruct MyHashMapLike;\n", expect![""]);
    }

    #[test]
    fn a_file_says_what_it_is_for() {
        let complaint = expect!["crates/io/net/src/a.rs: does not open with //! (what it is for, where it stands)"];
        check("crates/io/net/src/a.rs", "use std::fs;\n", complaint);
    }

    #[test]
    fn a_long_file_is_two_unless_generated_or_a_test() {
        let long = "//! x\n\n\n\n";
        check("crates/io/net/src/a.rs", long, expect!["crates/io/net/src/a.rs: more than 3 lines"]);
        check("crates/io/net/src/a/tests.rs", long, expect![""]);
        check("crates/io/cri/src/generated/a.rs", "// @generated\n\n\n\n\n", expect![""]);
    }

    #[test]
    fn a_core_touches_nothing() {
        check(
            "crates/core/a/src/b.rs",
            "//! x\nuse std::fs::read; // tokio\nlet a: HashMap<u8, u8> = tokio::x();\n",
            expect![[r"
                crates/core/a/src/b.rs:2: contains std::fs
                crates/core/a/src/b.rs:3: contains HashMap
                crates/core/a/src/b.rs:3: contains tokio"]],
        );
    }

    #[test]
    fn unfinished_work_is_not_left_in_the_tree() {
        let text = ["//! x", &format!("{}]", unfinished()[0]), &format!("{})", unfinished()[1])].join("\n");
        let mut wrong = Vec::new();
        check_words("a.rs", &text, &unfinished(), &mut wrong);
        assert_eq!(wrong.len(), 2, "{wrong:?}");
    }

    #[test]
    fn nothing_names_this_machine() {
        let path = ["see /", "work/main/x, ../sh", "ared/y"].concat();
        let url = ["https://pypi", ".example.org/simple"].concat();
        let mut wrong = Vec::new();
        check_strangers("README.md", &format!("{path}\n{url}\nwork/main, docker.io/library/a:1\n"), &mut wrong);
        assert_eq!(wrong.len(), 2, "{wrong:?}");
        assert!(
            wrong[0].starts_with("README.md:1: names a path") && wrong[1].starts_with("README.md:2: names a reg"),
            "{wrong:?}"
        );
    }
}
