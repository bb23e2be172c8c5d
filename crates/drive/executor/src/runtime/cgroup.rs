//! The cgroups of one executor's pods, in every v1 hierarchy or in v2.
//!
//! Pods lie below the cgroup that Mesos gave the executor, hierarchy by hierarchy (its isolators give one in some and
//! not in others); where it gave none, that is the hierarchy's root. A relative `cgroup_parent` says just that to
//! runc 1.1: it begins at the cgroup runc itself runs in, which is the executor's (libcontainer, cgroups/fs/paths.go).
//! v2 has one hierarchy and wants no process in inner cgroups, so there the path is absolute and the executor steps
//! aside into a leaf.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::mounts::unescape;

/// Length of the period in which a CPU quota counts, in microseconds: the kubelet's and runc's default.
const CPU_PERIOD_US: u64 = 100_000;
/// How long killed processes may take to leave a cgroup.
const EMPTY_WITHIN: Duration = Duration::from_secs(10);
/// How often to look whether they have; v1 offers no event for it.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// A failed operation on a cgroup file or folder.
#[derive(Debug, thiserror::Error)]
#[error("failed to {operation} cgroup {}", path.display())]
pub struct CgroupError {
    operation: &'static str,
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// Which interface the kernel offers for cpu and memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// One hierarchy a controller.
    V1,
    /// One hierarchy for all.
    V2,
}

/// One mounted hierarchy.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Hierarchy {
    /// Its controllers, or `name=systemd`; empty for v2.
    controllers: Vec<String>,
    /// Where it is mounted.
    mount: PathBuf,
    /// This process's cgroup, relative to the mount.
    own: PathBuf,
}

impl Hierarchy {
    fn has(&self, controller: &str) -> bool {
        self.controllers.iter().any(|it| it == controller)
    }
}

/// Limits of a pod; `None` leaves what is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Relative CPU weight in v1's scale (1024 is one CPU).
    pub cpu_shares: Option<u64>,
    /// CPU time in microseconds per 100 ms; negative means no limit.
    pub cpu_quota_us: Option<i64>,
    /// Memory in bytes; negative means no limit.
    pub memory_bytes: Option<i64>,
    /// The most processes and threads.
    pub pids_max: Option<u64>,
}

/// What a pod uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// CPU time so far, in nanoseconds.
    pub cpu_ns: u64,
    /// Memory without file pages that could be dropped: the kubelet's "working set", in bytes.
    pub memory_working_set_bytes: u64,
}

/// The cgroup that holds all pods of one executor.
#[derive(Clone, Debug)]
pub struct CgroupRoot {
    name: String,
    version: Version,
    hierarchies: Vec<Hierarchy>,
    /// On a "hybrid" machine the v2 hierarchy beside v1's: not used by us, but runc makes the pods' cgroups there too.
    beside: Option<Hierarchy>,
    parent: ParentPath,
}

/// How the runtime is told where a pod's cgroup is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ParentPath {
    /// From the runtime's own cgroup, in each hierarchy.
    Relative,
    /// From the root of every hierarchy.
    Absolute,
}

impl CgroupRoot {
    /// Finds where the cgroup `name` belongs; creates nothing.
    ///
    /// # Errors
    /// When /proc is not readable, or no usable hierarchy is mounted.
    pub fn locate(name: &str) -> Result<Self, CgroupError> {
        let read = |path: &str| fs::read_to_string(path).map_err(|source| failed("read", Path::new(path), source));
        let (version, hierarchies, beside) = parse(&read("/proc/self/mountinfo")?, &read("/proc/self/cgroup")?);
        if hierarchies.is_empty() {
            let source = io::Error::new(io::ErrorKind::NotFound, "no cgroup hierarchy with cpu or memory is mounted");
            return Err(failed("find", Path::new("/sys/fs/cgroup"), source));
        }
        let parent = match version {
            Version::V1 => ParentPath::Relative,
            Version::V2 => ParentPath::Absolute,
        };
        let name = name.to_owned();
        Ok(Self { name, version, hierarchies, beside, parent })
    }

    /// Finds where the cgroup `name` belongs when the runtime is not ours and so runs elsewhere.
    ///
    /// One absolute path must then do for all hierarchies: below the executor's cgroup if that is the same in each,
    /// else below the root.
    ///
    /// # Errors
    /// As for [`Self::locate`].
    pub fn locate_for_foreign_runtime(name: &str) -> Result<Self, CgroupError> {
        let mut found = Self::locate(name)?;
        found.use_absolute_parent();
        Ok(found)
    }

    fn use_absolute_parent(&mut self) {
        self.parent = ParentPath::Absolute;
        let first = self.hierarchies[0].own.clone();
        if self.hierarchies.iter().any(|hierarchy| hierarchy.own != first) {
            for hierarchy in self.hierarchies.iter_mut().chain(&mut self.beside) {
                hierarchy.own = PathBuf::new();
            }
        }
    }

    /// Returns which interface the kernel offers.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// Returns the folder of the cgroup in each hierarchy.
    #[must_use]
    pub fn folders(&self) -> Vec<PathBuf> {
        self.hierarchies.iter().chain(&self.beside).map(|hierarchy| self.folder(hierarchy)).collect()
    }

    /// Creates the cgroup in every hierarchy; what exists stays.
    ///
    /// # Errors
    /// The file system's: not root, or a read-only /sys/fs/cgroup.
    pub fn create(&self) -> Result<(), CgroupError> {
        for hierarchy in &self.hierarchies {
            if self.version == Version::V2 {
                step_aside(&hierarchy.mount.join(&hierarchy.own), &self.name)?;
            }
            make(hierarchy, &hierarchy.own.join(&self.name), self.version)?;
        }
        Ok(())
    }

    /// Creates a pod's cgroup with its limits and returns CRI's `cgroup_parent` for it.
    ///
    /// # Errors
    /// The file system's.
    pub fn create_pod(&self, pod: &str, limits: &Limits) -> Result<String, CgroupError> {
        for hierarchy in &self.hierarchies {
            make(hierarchy, &hierarchy.own.join(&self.name).join(pod), self.version)?;
        }
        self.set_limits(pod, limits)?;
        let relative = Path::new(&self.name).join(pod);
        let parent = match self.parent {
            ParentPath::Relative => relative,
            ParentPath::Absolute => Path::new("/").join(&self.hierarchies[0].own).join(relative),
        };
        Ok(parent.display().to_string())
    }

    /// Changes a pod's limits.
    ///
    /// # Errors
    /// The kernel's: a memory limit below what is in use is refused by v1.
    pub fn set_limits(&self, pod: &str, limits: &Limits) -> Result<(), CgroupError> {
        for hierarchy in &self.hierarchies {
            let folder = self.folder(hierarchy).join(pod);
            for (file, value) in limit_files(self.version, hierarchy, limits) {
                let path = folder.join(file);
                fs::write(&path, value).map_err(|source| failed("write", &path, source))?;
            }
        }
        Ok(())
    }

    /// Measures a pod.
    ///
    /// # Errors
    /// When the pod has no cgroup.
    pub fn usage(&self, pod: &str) -> Result<Usage, CgroupError> {
        let mut usage = Usage::default();
        for hierarchy in &self.hierarchies {
            let folder = self.folder(hierarchy).join(pod);
            let read = |file: &str| {
                let path = folder.join(file);
                fs::read_to_string(&path).map_err(|source| failed("read", &path, source))
            };
            let number = |text: String| text.trim().parse::<u64>().unwrap_or(0);
            if self.version == Version::V2 {
                usage.cpu_ns = field(&read("cpu.stat")?, "usage_usec").saturating_mul(1_000);
                let inactive = field(&read("memory.stat")?, "inactive_file");
                usage.memory_working_set_bytes = number(read("memory.current")?).saturating_sub(inactive);
                continue;
            }
            if hierarchy.has("cpuacct") {
                usage.cpu_ns = number(read("cpuacct.usage")?);
            }
            if hierarchy.has("memory") {
                let inactive = field(&read("memory.stat")?, "total_inactive_file");
                usage.memory_working_set_bytes = number(read("memory.usage_in_bytes")?).saturating_sub(inactive);
            }
        }
        Ok(usage)
    }

    /// Removes a pod's cgroup and all below it; its processes must have ended.
    ///
    /// # Errors
    /// When a process is left in it.
    pub fn remove_pod(&self, pod: &str) -> Result<(), CgroupError> {
        self.folders().iter().try_for_each(|folder| remove(&folder.join(pod)))
    }

    /// Removes the cgroup of all pods in each hierarchy.
    ///
    /// # Errors
    /// A file system error, such as for a process that does not leave.
    pub fn remove(&self) -> Result<(), CgroupError> {
        self.folders().iter().try_for_each(|folder| remove(folder))
    }

    fn folder(&self, hierarchy: &Hierarchy) -> PathBuf {
        hierarchy.mount.join(&hierarchy.own).join(&self.name)
    }
}

/// Moves this process to the root of every hierarchy, where nobody who ends a cgroup finds it.
pub(super) fn leave() -> Result<(), CgroupError> {
    let root = CgroupRoot::locate("")?;
    for hierarchy in root.hierarchies.iter().chain(&root.beside) {
        let path = hierarchy.mount.join("cgroup.procs");
        fs::write(&path, "0").map_err(|source| failed("write", &path, source))?;
    }
    Ok(())
}

/// Returns the pids in a cgroup folder and all below it; none when it does not exist.
pub(super) fn pids_below(folder: &Path) -> Vec<i32> {
    let own = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
    let mut pids: Vec<i32> = own.lines().filter_map(|line| line.parse().ok()).collect();
    for child in children(folder) {
        pids.extend(pids_below(&child));
    }
    pids
}

/// Removes a cgroup folder and all below it, waiting a while for dying processes to leave.
pub(super) fn remove(folder: &Path) -> Result<(), CgroupError> {
    for child in children(folder) {
        remove(&child)?;
    }
    let begun = Instant::now();
    loop {
        match fs::remove_dir(folder) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy && begun.elapsed() < EMPTY_WITHIN => {
                std::thread::sleep(LOOK_EVERY);
            }
            Err(source) => return Err(failed("remove", folder, source)),
        }
    }
}

fn children(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path()).collect()
}

fn failed(operation: &'static str, path: &Path, source: io::Error) -> CgroupError {
    CgroupError { operation, path: path.to_owned(), source }
}

/// Reads which hierarchies there are and where this process is in each (proc(5), cgroups(7)).
fn parse(mountinfo: &str, own_cgroups: &str) -> (Version, Vec<Hierarchy>, Option<Hierarchy>) {
    let mut v1 = Vec::new();
    let mut v2 = Vec::new();
    for line in own_cgroups.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(own)) = (fields.next(), fields.next()) else { continue };
        let controllers: Vec<String> =
            controllers.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect();
        let Some((mount, root)) = mounted(mountinfo, &controllers) else { continue };
        // In a container the mount shows only a part of the hierarchy, and /proc may name the path from the real root.
        let own = Path::new(own).strip_prefix(&root).or_else(|_| Path::new(own).strip_prefix("/"));
        let own = own.map(Path::to_owned).unwrap_or_default();
        let list = if controllers.is_empty() { &mut v2 } else { &mut v1 };
        list.push(Hierarchy { controllers, mount, own });
    }
    // "Hybrid" machines have both; the one with the controllers counts.
    if v1.iter().any(|hierarchy| hierarchy.has("memory") || hierarchy.has("cpu")) {
        (Version::V1, v1, v2.pop())
    } else {
        (Version::V2, v2, None)
    }
}

/// Returns the mount point and the root of the mount of the hierarchy with these controllers (none: v2).
fn mounted(mountinfo: &str, controllers: &[String]) -> Option<(PathBuf, PathBuf)> {
    mountinfo.lines().find_map(|line| {
        let (front, back) = line.split_once(" - ")?;
        let mut front = front.split(' ').skip(3);
        let (root, point) = (front.next()?, front.next()?);
        let mut back = back.split(' ');
        let (kind, options) = (back.next()?, back.nth(1)?);
        let fits = match kind {
            "cgroup2" => controllers.is_empty(),
            "cgroup" => {
                !controllers.is_empty()
                    && controllers.iter().all(|name| options.split(',').any(|option| option == name))
            }
            _ => false,
        };
        fits.then(|| (unescape(point), unescape(root)))
    })
}

/// Creates a cgroup and those above it, each usable: a v1 cpuset begins empty and takes no process, a v2 cgroup must
/// be told which controllers its children have.
fn make(hierarchy: &Hierarchy, relative: &Path, version: Version) -> Result<(), CgroupError> {
    let mut folder = hierarchy.mount.clone();
    for part in relative {
        let parent = folder.clone();
        folder.push(part);
        if let Err(source) = fs::create_dir(&folder)
            && source.kind() != io::ErrorKind::AlreadyExists
        {
            return Err(failed("create", &folder, source));
        }
        match version {
            Version::V1 if hierarchy.has("cpuset") => inherit_cpuset(&parent, &folder)?,
            Version::V1 => {}
            Version::V2 => enable_controllers(&parent)?,
        }
    }
    Ok(())
}

fn inherit_cpuset(parent: &Path, folder: &Path) -> Result<(), CgroupError> {
    for file in ["cpuset.cpus", "cpuset.mems"] {
        let path = folder.join(file);
        let current = fs::read_to_string(&path).map_err(|source| failed("read", &path, source))?;
        if current.trim().is_empty() {
            let above = parent.join(file);
            let value = fs::read_to_string(&above).map_err(|source| failed("read", &above, source))?;
            fs::write(&path, value.trim()).map_err(|source| failed("write", &path, source))?;
        }
    }
    Ok(())
}

fn enable_controllers(folder: &Path) -> Result<(), CgroupError> {
    let path = folder.join("cgroup.controllers");
    let there = fs::read_to_string(&path).map_err(|source| failed("read", &path, source))?;
    let wanted = ["cpu", "cpuset", "io", "memory", "pids"].into_iter();
    let wanted: Vec<_> =
        wanted.filter(|name| there.split_whitespace().any(|it| it == *name)).map(|name| format!("+{name}")).collect();
    let path = folder.join("cgroup.subtree_control");
    fs::write(&path, wanted.join(" ")).map_err(|source| failed("write", &path, source))
}

/// v2: moves the processes of the executor's own cgroup into a leaf, so that the cgroup may have children with
/// controllers. The root may have both.
fn step_aside(own: &Path, name: &str) -> Result<(), CgroupError> {
    let is_root = !own.join("cgroup.type").exists();
    if is_root {
        return Ok(());
    }
    let leaf = own.join(format!("{name}-executor"));
    fs::create_dir_all(&leaf).map_err(|source| failed("create", &leaf, source))?;
    let procs = own.join("cgroup.procs");
    let pids = fs::read_to_string(&procs).map_err(|source| failed("read", &procs, source))?;
    let path = leaf.join("cgroup.procs");
    for pid in pids.lines() {
        fs::write(&path, pid).map_err(|source| failed("write", &path, source))?;
    }
    Ok(())
}

/// Which files to write in a hierarchy, in order.
fn limit_files(version: Version, hierarchy: &Hierarchy, limits: &Limits) -> Vec<(&'static str, String)> {
    let mut files = Vec::new();
    let or_max = |value: i64| if value < 0 { "max".to_owned() } else { value.to_string() };
    if version == Version::V2 {
        files.extend(limits.cpu_shares.map(|shares| ("cpu.weight", cpu_weight(shares).to_string())));
        files.extend(limits.cpu_quota_us.map(|quota| ("cpu.max", format!("{} {CPU_PERIOD_US}", or_max(quota)))));
        files.extend(limits.memory_bytes.map(|bytes| ("memory.max", or_max(bytes))));
        files.extend(limits.pids_max.map(|count| ("pids.max", count.to_string())));
        return files;
    }
    if hierarchy.has("cpu") {
        files.extend(limits.cpu_shares.map(|shares| ("cpu.shares", shares.max(2).to_string())));
        if let Some(quota) = limits.cpu_quota_us {
            files.push(("cpu.cfs_period_us", CPU_PERIOD_US.to_string()));
            files.push(("cpu.cfs_quota_us", quota.to_string()));
        }
    }
    if hierarchy.has("memory") {
        files.extend(limits.memory_bytes.map(|bytes| ("memory.limit_in_bytes", bytes.to_string())));
    }
    if hierarchy.has("pids") {
        files.extend(limits.pids_max.map(|count| ("pids.max", count.to_string())));
    }
    files
}

/// v1's scale of 2..262144 on v2's of 1..10000 (KEP-2254).
fn cpu_weight(shares: u64) -> u64 {
    1 + (shares.clamp(2, 262_144) - 2) * 9_999 / 262_142
}

fn field(text: &str, name: &str) -> u64 {
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.and_then(|value| value.trim().parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "\
30 20 0:26 / /sys/fs/cgroup ro - tmpfs tmpfs ro
31 30 0:27 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
32 30 0:28 / /sys/fs/cgroup/memory rw shared:9 - cgroup cgroup rw,memory
33 30 0:29 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd
34 30 0:30 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
";

    fn hierarchy(controllers: &[&str], mount: &str, own: &str) -> Hierarchy {
        Hierarchy {
            controllers: controllers.iter().map(|name| (*name).to_owned()).collect(),
            mount: mount.into(),
            own: own.into(),
        }
    }

    #[test]
    fn each_v1_hierarchy_keeps_the_cgroup_that_mesos_gave_in_it() {
        let own = "4:memory:/mesos/abc\n3:cpu,cpuacct:/mesos/abc\n1:name=systemd:/\n0::/\n";
        let expected = vec![
            hierarchy(&["memory"], "/sys/fs/cgroup/memory", "mesos/abc"),
            hierarchy(&["cpu", "cpuacct"], "/sys/fs/cgroup/cpu,cpuacct", "mesos/abc"),
            hierarchy(&["name=systemd"], "/sys/fs/cgroup/systemd", ""),
        ];
        let beside = hierarchy(&[], "/sys/fs/cgroup/unified", "");
        assert_eq!(parse(HYBRID, own), (Version::V1, expected, Some(beside)));
    }

    #[test]
    fn unified_machine_is_v2_also_inside_a_container() {
        let mounts = "34 30 0:30 /box /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
        let expected = vec![hierarchy(&[], "/sys/fs/cgroup", "mesos/abc")];
        assert_eq!(parse(mounts, "0::/box/mesos/abc\n"), (Version::V2, expected, None));
    }

    #[test]
    fn foreign_runtime_gets_one_path_that_is_right_in_every_hierarchy() {
        let folders = |memory: &str, cpu: &str| {
            let mut root = CgroupRoot {
                name: "km-a".to_owned(),
                version: Version::V1,
                hierarchies: vec![hierarchy(&["memory"], "/m", memory), hierarchy(&["cpu"], "/c", cpu)],
                beside: None,
                parent: ParentPath::Relative,
            };
            root.use_absolute_parent();
            root.folders()
        };
        assert_eq!(folders("mesos/x", "mesos/x"), [Path::new("/m/mesos/x/km-a"), Path::new("/c/mesos/x/km-a")]);
        assert_eq!(folders("mesos/x", ""), [Path::new("/m/km-a"), Path::new("/c/km-a")]);
    }

    #[test]
    fn limits_are_written_in_each_interface_s_words() {
        let limits =
            Limits { cpu_shares: Some(1024), cpu_quota_us: Some(-1), memory_bytes: Some(64 << 20), pids_max: Some(40) };
        let write = |version, hierarchy: &Hierarchy| {
            let files = limit_files(version, hierarchy, &limits);
            files.iter().map(|(file, value)| format!("{file}={value}")).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(
            write(Version::V2, &hierarchy(&[], "/c", "")),
            "cpu.weight=39 cpu.max=max 100000 memory.max=67108864 pids.max=40"
        );
        assert_eq!(
            write(Version::V1, &hierarchy(&["cpu", "cpuacct"], "/c", "")),
            "cpu.shares=1024 cpu.cfs_period_us=100000 cpu.cfs_quota_us=-1"
        );
        assert_eq!(write(Version::V1, &hierarchy(&["memory"], "/c", "")), "memory.limit_in_bytes=67108864");
        assert_eq!(write(Version::V1, &hierarchy(&["freezer"], "/c", "")), "");
    }
}
