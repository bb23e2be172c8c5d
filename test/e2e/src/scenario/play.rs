//! Plays a scenario on a cluster and tells every step that went otherwise.

use std::time::Instant;

use anyhow::{Context as _, bail};

use super::matching::{Captures, compare, substitute};
use super::parse::{Scenario, Section, Step};
use crate::cluster::{Cluster, kubectl_versions};
use crate::shell::{Shell, eventually};

/// Plays every section, also after one has failed.
///
/// # Errors
/// Steps went otherwise than written: all of them, one a section.
pub fn play(cluster: &Cluster, name: &str, scenario: &Scenario) -> anyhow::Result<()> {
    // `KM_E2E_SECTIONS=logs,exec` plays only sections whose titles contain one of these: for work on one of them.
    let wanted = std::env::var("KM_E2E_SECTIONS").unwrap_or_default();
    let wanted = |title: &str| wanted.is_empty() || wanted.split(',').any(|part| title.contains(part));
    let mut failures = Vec::new();
    let mut turn = 0;
    for section in scenario.sections.iter().filter(|section| wanted(&section.title)) {
        let clients = if section.all_clients { kubectl_versions().into_iter().map(Some).collect() } else { vec![None] };
        for client in clients {
            let start = Instant::now();
            let result = play_section(cluster, section, client, &mut turn);
            let title = format!("{}{}", section.title, client.map(|v| format!(" (kubectl {v})")).unwrap_or_default());
            let seconds = start.elapsed().as_secs_f64();
            match result {
                Ok(()) => println!("  ok      {title} ({seconds:.1} s)"),
                Err(error) => {
                    println!("  FAILED  {title} ({seconds:.1} s): {name} {error:#}");
                    failures.push(title);
                }
            }
        }
    }
    if failures.is_empty() {
        return Ok(());
    }
    bail!("{} sections of {name} failed: {}; {}", failures.len(), failures.join(", "), cluster.keep_logs())
}

fn play_section(cluster: &Cluster, section: &Section, client: Option<&str>, turn: &mut usize) -> anyhow::Result<()> {
    let versions = kubectl_versions();
    let mut captures = Captures::new();
    for step in &section.steps {
        *turn += 1;
        let client = client.unwrap_or(versions[*turn % versions.len()]);
        let shell = cluster.shell_with_kubectl(client);
        play_step(&shell, step, &mut captures).with_context(|| format!("line {} (kubectl {client})", step.line))?;
    }
    Ok(())
}

fn play_step(shell: &Shell, step: &Step, captures: &mut Captures) -> anyhow::Result<()> {
    let command = substitute(&step.command, captures);
    let mut look = || -> anyhow::Result<()> {
        let finished = shell.run(&command)?;
        let told = if finished.timed_out {
            Err("it took too long".to_owned())
        } else if finished.code() != step.code {
            Err(format!("ended with {}, not {}", finished.code(), step.code))
        } else {
            compare(&step.expected, &without_client_log(&finished.output), captures)
        };
        told.map_err(|reason| {
            let expected = step.expected.join("\n    ");
            let printed = finished.output.trim_end().replace('\n', "\n    ");
            anyhow::anyhow!("{reason}\n  $ {command}\n  expected:\n    {expected}\n  printed:\n    {printed}")
        })
    };
    match step.eventually {
        Some(limit) => eventually(limit, "this", look),
        None => look(),
    }
}

/// Drops lines such as `I1121 22:46:06.909287 17331 reflector.go:664] …`: the client library's own log, which says how
/// kubectl's watches come and go and is no answer.
fn without_client_log(output: &str) -> String {
    let is_log = |line: &str| {
        let head: Vec<&str> = line.split_whitespace().take(4).collect();
        matches!(head[..], [day, time, _, place]
            if day.len() == 5 && day.starts_with(['I', 'W', 'E']) && day[1..].bytes().all(|b| b.is_ascii_digit())
                && time.len() == 15 && place.ends_with(']'))
    };
    output.lines().filter(|line| !is_log(line)).flat_map(|line| [line, "\n"]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clients_own_log_is_no_output() {
        let log = "W1121 22:46:06.909287   17331 reflector.go:664] \"watch ended\" err=\"x\"";
        assert_eq!(without_client_log(&format!("{log}\nW1 is here\n")), "W1 is here\n");
    }
}
