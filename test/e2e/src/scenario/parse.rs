//! From a transcript's text to its steps.

use std::time::Duration;

/// A whole file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scenario {
    /// In order.
    pub sections: Vec<Section>,
}

/// Steps that build on each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// Its title.
    pub title: String,
    /// Whether it is played once with each client.
    pub all_clients: bool,
    /// In order.
    pub steps: Vec<Step>,
}

/// A command and what it prints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Line of the file, from 1.
    pub line: usize,
    /// Text for bash.
    pub command: String,
    /// How long to look until the output is right; `None` looks once.
    pub eventually: Option<Duration>,
    /// The exit code.
    pub code: i32,
    /// Patterns, a line each.
    pub expected: Vec<String>,
}

/// What is wrong with a transcript.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseError {
    /// Line of the file, from 1.
    pub line: usize,
    /// What.
    pub reason: String,
}

impl std::fmt::Display for ParseError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "line {}: {}", self.line, self.reason)
    }
}

impl std::error::Error for ParseError {}

const ALL_CLIENTS: &str = " (all clients)";

/// Reads a transcript.
///
/// # Errors
/// A line belongs to no section or step, or a time or code cannot be read.
pub fn parse(text: &str) -> Result<Scenario, ParseError> {
    let mut sections: Vec<Section> = Vec::new();
    let mut in_output = false;
    for (index, line) in text.lines().enumerate() {
        let number = index + 1;
        let fail = |reason: &str| ParseError { line: number, reason: reason.to_owned() };
        if let Some(title) = line.strip_prefix("## ") {
            let all_clients = title.ends_with(ALL_CLIENTS);
            let title = title.trim_end_matches(ALL_CLIENTS).to_owned();
            sections.push(Section { title, all_clients, steps: Vec::new() });
            in_output = false;
        } else if line.is_empty() || line.starts_with("# ") {
            in_output = false;
        } else {
            let section = sections.last_mut().ok_or_else(|| fail("comes before the first section (## Title)"))?;
            if let Some((eventually, command)) = parse_prompt(line).map_err(fail)? {
                let command = command.to_owned();
                section.steps.push(Step { line: number, command, eventually, code: 0, expected: Vec::new() });
                in_output = true;
            } else {
                let step = section.steps.last_mut().filter(|_| in_output);
                continue_step(step.ok_or_else(|| fail("belongs to no command"))?, line).map_err(fail)?;
            }
        }
    }
    Ok(Scenario { sections })
}

/// Returns the command of a line that starts a step.
fn parse_prompt(line: &str) -> Result<Option<(Option<Duration>, &str)>, &'static str> {
    if let Some(command) = line.strip_prefix("$ ") {
        return Ok(Some((None, command)));
    }
    let Some(rest) = line.strip_prefix("eventually ") else { return Ok(None) };
    let (limit, command) = rest.split_once(" $ ").ok_or("want `eventually 10s $ command`")?;
    let seconds = limit.strip_suffix('s').and_then(|number| number.parse().ok());
    Ok(Some((Some(Duration::from_secs(seconds.ok_or("want a time such as 10s")?)), command)))
}

fn continue_step(step: &mut Step, line: &str) -> Result<(), &'static str> {
    let bare = step.expected.is_empty() && step.code == 0;
    if let (true, Some(more)) = (bare, line.strip_prefix('>')) {
        step.command.push('\n');
        step.command.push_str(more.strip_prefix(' ').unwrap_or(more));
    } else if let (true, Some(code)) = (bare, line.strip_prefix("? ")) {
        step.code = code.trim().parse().map_err(|_| "want an exit code after `? `")?;
    } else {
        step.expected.push(line.to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_have_commands_codes_times_and_patterns() {
        let scenario = parse(
            "# why\n## One (all clients)\n$ cat <<E\n> a\n>  b\n>\n> E\na\n\neventually 5s $ false | x\n? 3\nout\n# x\n## Two\n",
        )
        .unwrap();
        let [one, two] = &scenario.sections[..] else { panic!("{scenario:?}") };
        assert!(one.all_clients && one.title == "One" && !two.all_clients && two.steps.is_empty());
        let [cat, wait] = &one.steps[..] else { panic!("{one:?}") };
        assert_eq!((cat.command.as_str(), cat.code, cat.line), ("cat <<E\na\n b\n\nE", 0, 3));
        assert_eq!(cat.expected, ["a"]);
        assert_eq!((wait.command.as_str(), wait.code), ("false | x", 3));
        assert_eq!((wait.eventually, &wait.expected[..]), (Some(Duration::from_secs(5)), &["out".to_owned()][..]));
    }

    #[test]
    fn stray_lines_are_errors() {
        for (text, line) in [("$ a", 1), ("## A\nb", 2), ("## A\n$ a\n\nb", 4), ("## A\neventually soon $ a", 2)] {
            assert_eq!(parse(text).unwrap_err().line, line, "{text:?}");
        }
    }

    #[test]
    fn every_scenario_of_this_folder_can_be_read() {
        let folder = crate::repository().join("test/e2e/scenarios");
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let scenario = parse(&std::fs::read_to_string(&path).unwrap());
            let steps = scenario.map(|scenario| scenario.sections.iter().map(|section| section.steps.len()).sum());
            assert!(steps.as_ref().is_ok_and(|steps: &usize| *steps > 5), "{}: {steps:?}", path.display());
        }
    }
}
