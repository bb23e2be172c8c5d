//! Processes as /proc shows them: who is the same as before, who belongs to a session, who descends from whom.

use std::collections::BTreeSet;
use std::fs;

use km_core_mesos::agent::Process;
use rustix::process::{Pid, Signal, kill_process};

/// What of /proc/PID/stat matters here (proc(5)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stat {
    is_zombie: bool,
    parent: u32,
    session: u32,
    start_ticks: u64,
}

fn stat(pid: u32) -> Option<Stat> {
    parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// The command is in parentheses and may hold anything, so fields are counted from the last one.
fn parse(text: &str) -> Option<Stat> {
    let fields: Vec<&str> = text[text.rfind(')')? + 1..].split_whitespace().collect();
    Some(Stat {
        is_zombie: matches!(*fields.first()?, "Z" | "X"),
        parent: fields.get(1)?.parse().ok()?,
        session: fields.get(3)?.parse().ok()?,
        start_ticks: fields.get(19)?.parse().ok()?,
    })
}

/// Describes a process, so that it can be known again.
pub(crate) fn identify(pid: u32) -> Option<Process> {
    stat(pid).map(|stat| Process { pid, start_ticks: stat.start_ticks })
}

/// Tells whether this very process still runs.
pub(crate) fn is_alive(process: Process) -> bool {
    stat(process.pid).is_some_and(|stat| !stat.is_zombie && stat.start_ticks == process.start_ticks)
}

/// Finds the living processes of a session and all their descendants.
pub(crate) fn session_members(leader: Process) -> BTreeSet<u32> {
    // The leader's number may have been given away only once its session is empty, so a stranger has another session.
    if stat(leader.pid).is_some_and(|stat| stat.start_ticks != leader.start_ticks) {
        return BTreeSet::new();
    }
    let all: Vec<(u32, Stat)> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(|pid: u32| Some((pid, stat(pid)?)))
        .filter(|(_, stat)| !stat.is_zombie)
        .collect();
    let mut members: BTreeSet<u32> =
        all.iter().filter(|(_, stat)| stat.session == leader.pid).map(|(pid, _)| *pid).collect();
    loop {
        let before = members.len();
        let children: Vec<u32> =
            all.iter().filter(|(_, stat)| members.contains(&stat.parent)).map(|(pid, _)| *pid).collect();
        members.extend(children);
        if members.len() == before {
            return members;
        }
    }
}

/// Kills processes; those that are gone already do not matter.
pub(crate) fn kill_all(pids: &BTreeSet<u32>) {
    for pid in pids.iter().filter_map(|pid| i32::try_from(*pid).ok()).filter_map(Pid::from_raw) {
        let _ = kill_process(pid, Signal::KILL);
    }
}

/// Tells whether a process number is a zombie's or nobody's.
pub(crate) fn is_over(pid: u32) -> bool {
    stat(pid).is_none_or(|stat| stat.is_zombie)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_with_spaces_and_parentheses_does_not_shift_fields() {
        let text = "42 (a) b (c) S 7 42 41 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 98765 0 0";
        let expected = Stat { is_zombie: false, parent: 7, session: 41, start_ticks: 98_765 };
        assert_eq!(parse(text), Some(expected));
        assert_eq!(parse("42 (a) Z 1"), None);
    }

    #[test]
    fn this_process_is_alive_and_another_start_time_is_not() {
        let own = identify(std::process::id()).expect("own process");
        assert!(is_alive(own));
        assert!(!is_alive(Process { start_ticks: own.start_ticks + 1, ..own }));
    }
}
