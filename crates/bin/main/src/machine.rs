//! What this machine is and has.

use std::path::Path;

use anyhow::{Context as _, bail};

/// Returns the machine's host name.
pub(crate) fn host_name() -> anyhow::Result<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").context("failed to read the host name")?;
    let name = name.trim().to_ascii_lowercase();
    if name.is_empty() { bail!("this machine has no host name; give one with --hostname-override") } else { Ok(name) }
}

/// Returns what the embedded agent offers of this machine, in Mesos's text form.
///
/// As a Mesos agent does where nothing is configured: all cpus; memory less 1 GB, or half of it below 2 GB; disk
/// less 5 GB, or half below 10 GB; ports 31000 to 32000.
pub(crate) fn resources(work_dir: &Path) -> anyhow::Result<String> {
    let cpus = std::thread::available_parallelism().context("failed to count the processors")?;
    let memory = std::fs::read_to_string("/proc/meminfo").context("failed to read /proc/meminfo")?;
    let memory_kb: u64 = memory
        .lines()
        .find_map(|l| l.strip_prefix("MemTotal:")?.trim().strip_suffix("kB")?.trim().parse().ok())
        .context("/proc/meminfo has no MemTotal")?;
    let disk = rustix::fs::statvfs(work_dir).with_context(|| format!("failed to measure {}", work_dir.display()))?;
    let disk_mb = disk.f_blocks.saturating_mul(disk.f_frsize) / (1024 * 1024);
    let mem = less(memory_kb / 1024, 1024);
    let disk = less(disk_mb, 5 * 1024);
    Ok(format!("cpus:{cpus};mem:{mem};disk:{disk};ports:[31000-32000]"))
}

/// Returns `total` less `reserve`, or half of it where that would leave less than half.
fn less(total: u64, reserve: u64) -> u64 {
    if total < 2 * reserve { total / 2 } else { total - reserve }
}

/// Returns the resolvers of this machine for names outside the cluster.
pub(crate) fn resolvers() -> Vec<std::net::SocketAddr> {
    let text = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let servers = text.lines().filter_map(|l| l.strip_prefix("nameserver")?.trim().parse::<std::net::IpAddr>().ok());
    servers.map(|ip| (ip, 53).into()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_machines_keep_half() {
        assert_eq!((less(1500, 1024), less(2048, 1024), less(24_000, 1024)), (750, 1024, 22_976));
    }
}
