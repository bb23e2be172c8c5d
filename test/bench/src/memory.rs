//! Proportional set sizes of the processes in this network namespace. Pods have namespaces of their own, so what runs
//! in containers is not among them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::Context as _;

/// Prints `part count KiB`, a line each.
pub(crate) fn run() -> anyhow::Result<()> {
    let own = fs::read_link("/proc/self/ns/net").context("failed to read this process's network namespace")?;
    let mut parts: BTreeMap<&str, (u32, u64)> = BTreeMap::new();
    for entry in fs::read_dir("/proc").context("failed to list processes")?.flatten() {
        let folder = entry.path();
        // Processes end while we look; those are not at rest.
        if fs::read_link(folder.join("ns/net")).is_ok_and(|namespace| namespace == own)
            && let Some(part) = part(&folder)
            && let Some(size) = proportional_kib(&folder)
        {
            let (count, sum) = parts.entry(part).or_default();
            *count += 1;
            *sum += size;
        }
    }
    for (part, (count, sum)) in parts {
        println!("{part}\t{count}\t{sum}");
    }
    Ok(())
}

fn part(folder: &Path) -> Option<&'static str> {
    let line = fs::read(folder.join("cmdline")).ok()?;
    let words: Vec<String> = line.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into()).collect();
    let program = words.first()?.rsplit('/').next()?;
    match (program, words.get(1).map(String::as_str)) {
        // Started as /proc/self/exe.
        (_, Some("executor-supervisor")) => Some("supervisors"),
        ("km", Some("executor")) => Some("executors"),
        ("km", Some("up")) => Some("km up"),
        ("containerd", _) => Some("containerd"),
        ("containerd-shim-runc-v2", _) => Some("shims"),
        _ => None,
    }
}

fn proportional_kib(folder: &Path) -> Option<u64> {
    let text = fs::read_to_string(folder.join("smaps_rollup")).ok()?;
    text.lines().find_map(|line| line.strip_prefix("Pss:")?.trim().strip_suffix("kB")?.trim().parse().ok())
}
