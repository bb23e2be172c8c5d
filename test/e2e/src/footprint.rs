//! What a cluster may leave on the machine, looked at before and after: there must be no difference.
//!
//! Processes are counted below the suite's root, which inherits every orphan; the rest by name.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::process::descendants;

/// A look at the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Footprint {
    items: BTreeSet<String>,
}

impl Footprint {
    /// Looks. `root` is the process that inherits orphans, `own` are those of the suite itself.
    pub(crate) fn look(root: i32, own: &[i32]) -> Self {
        let mut items = BTreeSet::new();
        let processes = descendants(root).into_iter().filter(|process| !own.contains(&process.pid));
        items.extend(processes.map(|process| format!("process {} {}", process.pid, process.command)));
        // On a machine that others use at the same time, only what hangs below the suite is known to be ours.
        if std::env::var_os("KM_E2E_SHARED_MACHINE").is_some() {
            return Self { items };
        }
        items.extend(mounts().into_iter().map(|point| format!("mount {point}")));
        items.extend(names("/run/netns").into_iter().map(|name| format!("network namespace {name}")));
        items.extend(names("/run/containerd/s").into_iter().map(|name| format!("socket /run/containerd/s/{name}")));
        items.extend(names("/run/km").into_iter().map(|name| format!("folder /run/km/{name}")));
        for hierarchy in names("/sys/fs/cgroup") {
            collect_folders(&Path::new("/sys/fs/cgroup").join(hierarchy), &mut items);
        }
        Self { items }
    }

    /// What is here and was not `before`.
    pub(crate) fn since(&self, before: &Self) -> Vec<String> {
        self.items.difference(&before.items).cloned().collect()
    }
}

fn mounts() -> Vec<String> {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    // proc_pid_mountinfo(5): the mount point is field 5.
    table.lines().filter_map(|line| line.split(' ').nth(4)).map(str::to_owned).collect()
}

fn names(folder: &str) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

fn collect_folders(folder: &Path, items: &mut BTreeSet<String>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            items.insert(format!("cgroup {}", entry.path().display()));
            collect_folders(&entry.path(), items);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_stays_is_seen() {
        let own = i32::try_from(std::process::id()).unwrap();
        let before = Footprint::look(own, &[]);
        let mut child = std::process::Command::new("sleep").arg("61").spawn().unwrap();
        // The command line is the shell's own until exec.
        let looked = crate::eventually(std::time::Duration::from_secs(5), "exec", || {
            let new = Footprint::look(own, &[]).since(&before);
            new.iter().any(|item| item.ends_with("sleep 61")).then_some(()).ok_or(format!("{new:?}"))
        });
        child.kill().unwrap();
        child.wait().unwrap();
        looked.unwrap();
    }
}
