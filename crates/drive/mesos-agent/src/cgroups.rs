//! Cgroups of containers: v1 hierarchy by hierarchy as Mesos's linux launcher places them, or v2.
//!
//! A container has `<hierarchy>/<root>/<container id>` in each of freezer, cpu, cpuacct and memory. In v2 its processes
//! live in `<root>/<container id>/leaf`, since a v2 cgroup with controllers for its children holds no processes itself;
//! what the executor makes for its pods goes beside `leaf`.
//! Source of numbers: Apache Mesos 1.11 src/slave/containerizer/mesos/isolators/cgroups/constants.hpp.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use km_core_mesos::agent::Allowance;

/// v1 controllers that Mesos places containers in.
const V1_CONTROLLERS: [&str; 4] = ["freezer", "cpu", "cpuacct", "memory"];
const CPU_SHARES_PER_CPU: f64 = 1024.0;
const CPU_SHARES_MIN: f64 = 2.0;
const CFS_PERIOD_US: f64 = 100_000.0;
const CFS_QUOTA_MIN_US: f64 = 1_000.0;
const MEM_MIN_MB: f64 = 32.0;
const BYTES_PER_MB: f64 = 1024.0 * 1024.0;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Layout {
    /// Mount points, each with its controllers.
    V1(Vec<(PathBuf, Vec<String>)>),
    V2(PathBuf),
}

/// The cgroups of this machine, as far as containers use them.
#[derive(Clone, Debug)]
pub(crate) struct Cgroups {
    layout: Layout,
    root: String,
}

impl Cgroups {
    /// Finds the hierarchies and makes the root in each.
    pub(crate) fn prepare(root: &str) -> Result<Self, String> {
        let mounts = fs::read_to_string("/proc/mounts").map_err(|error| format!("/proc/mounts: {error}"))?;
        let layout = find_layout(&mounts, |path| fs::read_to_string(path).unwrap_or_default())
            .ok_or("neither the v1 hierarchies freezer, cpu, cpuacct, memory nor a v2 hierarchy with cpu and memory is mounted")?;
        let cgroups = Self { layout, root: root.to_owned() };
        for folder in cgroups.folders("") {
            fs::create_dir_all(&folder).map_err(|error| format!("{}: {error} (root is needed)", folder.display()))?;
        }
        if let Layout::V2(mount) = &cgroups.layout {
            for folder in [mount.clone(), mount.join(root)] {
                enable_controllers(&folder)?;
            }
        }
        Ok(cgroups)
    }

    /// Makes a container's cgroups and moves a process into them.
    pub(crate) fn place(&self, container_id: &str, pid: u32) -> io::Result<()> {
        for folder in self.folders(container_id) {
            fs::create_dir_all(&folder)?;
            let target = match &self.layout {
                Layout::V1(_) => folder,
                Layout::V2(_) => {
                    let leaf = folder.join("leaf");
                    fs::create_dir_all(&leaf)?;
                    leaf
                }
            };
            fs::write(target.join("cgroup.procs"), pid.to_string())?;
        }
        Ok(())
    }

    /// Sets what a container may use. Its memory limit never shrinks, as in Mesos: what runs cannot give back at will.
    pub(crate) fn allow(&self, container_id: &str, allowance: &Allowance) -> io::Result<()> {
        let cpus = allowance.requests.scalar("cpus").to_f64();
        let mem = allowance.requests.scalar("mem").to_f64().max(MEM_MIN_MB);
        let limit = allowance.mem_limit_mb.map(|limit| limit.max(MEM_MIN_MB) * BYTES_PER_MB);
        match &self.layout {
            Layout::V1(mounts) => {
                for (mount, controllers) in mounts {
                    let folder = mount.join(&self.root).join(container_id);
                    if !folder.is_dir() {
                        continue;
                    }
                    if controllers.iter().any(|name| name == "cpu") {
                        let shares = (cpus * CPU_SHARES_PER_CPU).max(CPU_SHARES_MIN);
                        fs::write(folder.join("cpu.shares"), whole(shares))?;
                        let quota = allowance.cpus_limit.map(|limit| (limit * CFS_PERIOD_US).max(CFS_QUOTA_MIN_US));
                        // Mesos leaves the quota alone without --cgroups_enable_cfs; only tasks with limits get one.
                        if allowance.cpus_limit.is_some_and(|limit| limit > cpus + 0.0005) {
                            fs::write(folder.join("cpu.cfs_quota_us"), quota.map_or_else(|| "-1".to_owned(), whole))?;
                        }
                    }
                    if controllers.iter().any(|name| name == "memory") {
                        fs::write(folder.join("memory.soft_limit_in_bytes"), whole(mem * BYTES_PER_MB))?;
                        raise(&folder.join("memory.limit_in_bytes"), limit, "-1")?;
                    }
                }
            }
            Layout::V2(mount) => {
                let folder = mount.join(&self.root).join(container_id);
                if folder.is_dir() {
                    fs::write(folder.join("cpu.weight"), whole((cpus * 100.0).clamp(1.0, 10_000.0)))?;
                    fs::write(folder.join("memory.low"), whole(mem * BYTES_PER_MB))?;
                    raise(&folder.join("memory.max"), limit, "max")?;
                }
            }
        }
        Ok(())
    }

    /// Finds all processes in a container's cgroups and in those below.
    pub(crate) fn members(&self, container_id: &str) -> BTreeSet<u32> {
        let mut pids = BTreeSet::new();
        for folder in self.folders(container_id).iter().flat_map(|folder| descendants(folder)) {
            let text = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
            pids.extend(text.lines().filter_map(|line| line.parse::<u32>().ok()));
        }
        pids
    }

    /// Removes a container's cgroups, the deepest first; fails while processes are in them.
    pub(crate) fn remove(&self, container_id: &str) -> io::Result<()> {
        for folder in self.folders(container_id) {
            for nested in descendants(&folder).iter().rev() {
                match fs::remove_dir(nested) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// Removes the cgroup above all containers, where none is left.
    pub(crate) fn remove_root(&self) {
        for folder in self.folders("") {
            // Whoever still has something in it keeps it.
            let _ = fs::remove_dir(folder);
        }
    }

    fn folders(&self, container_id: &str) -> Vec<PathBuf> {
        let below = |mount: &Path| {
            let root = mount.join(&self.root);
            if container_id.is_empty() { root } else { root.join(container_id) }
        };
        match &self.layout {
            Layout::V1(mounts) => mounts.iter().map(|(mount, _)| below(mount)).collect(),
            Layout::V2(mount) => vec![below(mount)],
        }
    }
}

/// Lists a folder and all folders below, parents first.
fn descendants(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut waiting = vec![folder.to_owned()];
    while let Some(next) = waiting.pop() {
        if !next.is_dir() {
            continue;
        }
        let entries = fs::read_dir(&next).into_iter().flatten().filter_map(Result::ok);
        waiting.extend(entries.map(|entry| entry.path()).filter(|path| path.is_dir()));
        found.push(next);
    }
    found
}

fn find_layout(mounts: &str, read: impl Fn(&Path) -> String) -> Option<Layout> {
    let mut v1: Vec<(PathBuf, Vec<String>)> = Vec::new();
    let mut v2 = None;
    for line in mounts.lines() {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [_, mount, kind, options, ..] = fields.as_slice() else { continue };
        if *kind == "cgroup" {
            let controllers: Vec<String> =
                options.split(',').filter(|name| V1_CONTROLLERS.contains(name)).map(str::to_owned).collect();
            if !controllers.is_empty() && !v1.iter().any(|(_, known)| *known == controllers) {
                v1.push((PathBuf::from(mount), controllers));
            }
        } else if *kind == "cgroup2" {
            let controllers = read(&Path::new(mount).join("cgroup.controllers"));
            let has = |name| controllers.split_whitespace().any(|found| found == name);
            if has("cpu") && has("memory") {
                v2 = Some(PathBuf::from(mount));
            }
        }
    }
    let complete = V1_CONTROLLERS.iter().all(|name| v1.iter().any(|(_, held)| held.iter().any(|found| found == name)));
    if complete { Some(Layout::V1(v1)) } else { v2.map(Layout::V2) }
}

fn enable_controllers(folder: &Path) -> Result<(), String> {
    let path = folder.join("cgroup.subtree_control");
    fs::write(&path, "+cpu +memory").map_err(|error| format!("{}: {error}", path.display()))
}

/// Writes a limit unless a higher one is in force.
fn raise(path: &Path, limit: Option<f64>, unlimited: &str) -> io::Result<()> {
    let Some(limit) = limit else { return fs::write(path, unlimited) };
    let current = fs::read_to_string(path)?.trim().parse::<f64>().unwrap_or(f64::INFINITY);
    // A fresh cgroup shows an absurdly high number or "max": that is no limit yet.
    let is_unset = current > 1e18 || current.is_infinite();
    if is_unset || current < limit { fs::write(path, whole(limit)) } else { Ok(()) }
}

fn whole(value: f64) -> String {
    format!("{value:.0}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const V1: &str = "cgroup /c/cpu,cpuacct cgroup rw,cpu,cpuacct 0 0\ncgroup /c/memory cgroup rw,memory 0 0\n\
                      cgroup /c/freezer cgroup rw,relatime,freezer 0 0\ncgroup2 /c/unified cgroup2 rw 0 0\n";

    #[test]
    fn joint_v1_hierarchies_are_found_once_and_win_over_an_empty_v2() {
        let Some(Layout::V1(mounts)) = find_layout(V1, |_| "hugetlb".to_owned()) else { panic!("v1 wanted") };
        let paths: Vec<_> = mounts.iter().map(|(path, _)| path.display().to_string()).collect();
        assert_eq!(paths, ["/c/cpu,cpuacct", "/c/memory", "/c/freezer"]);
    }

    #[test]
    fn v2_needs_cpu_and_memory() {
        let mounts = "cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n";
        assert_eq!(
            find_layout(mounts, |_| "cpuset cpu io memory pids".to_owned()),
            Some(Layout::V2("/sys/fs/cgroup".into()))
        );
        assert_eq!(find_layout(mounts, |_| "hugetlb".to_owned()), None);
    }

    #[test]
    fn a_memory_limit_only_grows() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("memory.max");
        for (before, limit, after) in
            [("max", Some(10.0), "10"), ("10", Some(20.0), "20"), ("20", Some(10.0), "20"), ("20", None, "max")]
        {
            fs::write(&path, before).expect("writes");
            raise(&path, limit, "max").expect("writes");
            assert_eq!(fs::read_to_string(&path).expect("reads"), after);
        }
    }
}
