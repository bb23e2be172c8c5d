//! Whether an output is what a transcript says, and the words that it teaches.

use std::collections::BTreeMap;

use regex::Regex;

/// Words remembered by `{{name}}`.
pub type Captures = BTreeMap<String, String>;

/// Compares output with patterns (see the module of scenarios for their form); the words that were learnt are added
/// to `captures` only when all matches.
///
/// # Errors
/// They differ; says at which pattern, or which pattern is malformed.
pub fn compare(expected: &[String], output: &str, captures: &mut Captures) -> Result<(), String> {
    let lines: Vec<&str> = output.lines().collect();
    let mut reached = 0;
    match compare_lines(expected, &lines, captures, 0, &mut reached)? {
        Some(learnt) => {
            *captures = learnt;
            Ok(())
        }
        None => Err(match expected.get(reached) {
            Some(pattern) => format!("nothing matches `{pattern}`"),
            None => "more was printed than expected".to_owned(),
        }),
    }
}

/// Backtracks over `...`; `reached` is the furthest pattern that was tried.
fn compare_lines(
    expected: &[String],
    lines: &[&str],
    captures: &Captures,
    depth: usize,
    reached: &mut usize,
) -> Result<Option<Captures>, String> {
    *reached = (*reached).max(depth);
    let Some((pattern, rest)) = expected.split_first() else {
        return Ok(lines.is_empty().then(|| captures.clone()));
    };
    if pattern == "..." {
        for skipped in 0..=lines.len() {
            if let Some(learnt) = compare_lines(rest, &lines[skipped..], captures, depth + 1, reached)? {
                return Ok(Some(learnt));
            }
        }
        return Ok(None);
    }
    let Some((line, more)) = lines.split_first() else { return Ok(None) };
    let mut learnt = captures.clone();
    if !match_line(pattern, line, &mut learnt)? {
        return Ok(None);
    }
    compare_lines(rest, more, &learnt, depth + 1, reached)
}

fn match_line(pattern: &str, line: &str, captures: &mut Captures) -> Result<bool, String> {
    let (text, names) = regex_of(pattern, captures)?;
    let regex = Regex::new(&text).map_err(|error| format!("`{pattern}`: {error}"))?;
    let Some(found) = regex.captures(line.trim_end()) else { return Ok(false) };
    let mut learnt = Captures::new();
    for (index, name) in names.iter().enumerate() {
        let word = found.get(index + 1).map_or("", |word| word.as_str());
        if learnt.insert(name.clone(), word.to_owned()).is_some_and(|other| other != word) {
            return Ok(false);
        }
    }
    captures.extend(learnt);
    Ok(true)
}

/// Translates a pattern; returns the names of its groups too.
fn regex_of(pattern: &str, captures: &Captures) -> Result<(String, Vec<String>), String> {
    let mut text = String::from("^");
    let mut names: Vec<String> = Vec::new();
    let mut rest = pattern.trim_end();
    while let Some(first) = rest.chars().next() {
        if let Some(after) = rest.strip_prefix("[..]") {
            text.push_str(".*");
            rest = after;
        } else if let Some(after) = rest.strip_prefix("{{") {
            let (inside, after) = after.split_once("}}").ok_or_else(|| format!("`{pattern}`: {{{{ without }}}}"))?;
            rest = after;
            let (name, form) = inside.split_once('=').unwrap_or((inside, r"\S+"));
            match captures.get(name) {
                Some(known) => text.push_str(&regex::escape(known)),
                None => {
                    text.push_str(&format!("({form})"));
                    names.push(name.to_owned());
                }
            }
        } else if first == ' ' {
            text.push_str(r"\s+");
            rest = rest.trim_start_matches(' ');
        } else {
            text.push_str(&regex::escape(&first.to_string()));
            rest = &rest[first.len_utf8()..];
        }
    }
    text.push('$');
    Ok((text, names))
}

/// Puts remembered words into a command.
pub(super) fn substitute(command: &str, captures: &Captures) -> String {
    captures.iter().fold(command.to_owned(), |text, (name, word)| text.replace(&format!("{{{{{name}}}}}"), word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(expected: &str, output: &str) -> Result<Captures, String> {
        let expected: Vec<String> = expected.lines().map(str::to_owned).collect();
        let mut captures = Captures::from([("uid".to_owned(), "a.b".to_owned())]);
        compare(&expected, output, &mut captures).map(|()| captures)
    }

    #[test]
    fn blanks_lines_and_words_match_loosely() {
        for (expected, output) in [
            ("NAME READY", "NAME    READY   \n"),
            ("a [..] z", "a   1 2 3   z"),
            ("a\n...\nz", "a\nz\n"),
            ("a\n...\nz", "a\nb\nz\nz\n"),
            ("...", ""),
            ("", ""),
            ("pod/{{uid}} x", "pod/a.b x"),
        ] {
            assert!(check(expected, output).is_ok(), "{expected:?} must match {output:?}");
        }
    }

    #[test]
    fn what_differs_is_told_by_its_first_unmatched_pattern() {
        for (expected, output, told) in [
            ("a", "b", "nothing matches `a`"),
            ("a", "a\nb", "more was printed than expected"),
            ("", "a", "more was printed than expected"),
            ("a\n...\nz", "a\nb", "nothing matches `z`"),
            ("pod/{{uid}}", "pod/aXb", "nothing matches `pod/{{uid}}`"),
            ("a b", "ab", "nothing matches `a b`"),
        ] {
            assert_eq!(check(expected, output).unwrap_err(), told, "{expected:?} and {output:?}");
        }
    }

    #[test]
    fn words_are_remembered_and_must_be_the_same_again() {
        let captures = check("x {{n}} {{m=[0-9]+}}/3\n{{n}}", "x one 2/3\none").unwrap();
        assert_eq!((captures["n"].as_str(), captures["m"].as_str()), ("one", "2"));
        assert!(check("{{n}}\n{{n}}", "one\ntwo").is_err());
        assert!(check("{{n}} {{n}}", "one two").is_err());
        assert_eq!(substitute("kubectl get {{n}} {{other}}", &captures), "kubectl get one {{other}}");
    }
}
