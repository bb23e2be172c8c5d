//! Which capabilities this process could hand to a container: what a container asks beyond them would fail it.

/// The capability names by bit, from linux/capability.h, without `CAP_`.
const NAMES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// A process's bounding set: no child of it can ever have more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BoundingSet(u64);

impl BoundingSet {
    /// Reads this process's set.
    ///
    /// # Errors
    /// When /proc is not readable.
    pub fn of_self() -> std::io::Result<Self> {
        let status = std::fs::read_to_string("/proc/self/status")?;
        Self::parse(&status).ok_or_else(|| std::io::Error::other("/proc/self/status has no CapBnd"))
    }

    fn parse(status: &str) -> Option<Self> {
        let hex = status.lines().find_map(|line| line.strip_prefix("CapBnd:"))?;
        u64::from_str_radix(hex.trim(), 16).ok().map(Self)
    }

    /// Returns whether the set has a capability, named with or without `CAP_`.
    #[must_use]
    pub fn has(self, name: &str) -> bool {
        let name = name.strip_prefix("CAP_").unwrap_or(name);
        NAMES.iter().position(|known| *known == name).is_some_and(|bit| self.0 & (1 << bit) != 0)
    }

    /// Returns whether oom_score_adj can be lowered; without it a container's negative value must be clamped to 0.
    #[must_use]
    pub fn may_lower_oom_score(self) -> bool {
        self.has("SYS_RESOURCE")
    }

    /// Returns what can be given of `wanted`. `ALL` stays: runtimes take it as "all that there are".
    #[must_use]
    pub fn clamp(self, wanted: &[String]) -> Vec<String> {
        wanted.iter().filter(|name| name.as_str() == "ALL" || self.has(name)).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absent_capabilities_are_left_out() {
        let set = BoundingSet::parse("Name:\tx\nCapBnd:\t000001fffeffffff\n").unwrap();
        assert!(!set.may_lower_oom_score());
        let wanted = ["SYS_RESOURCE", "CAP_NET_ADMIN", "ALL", "NONSENSE"].map(str::to_owned);
        assert_eq!(set.clamp(&wanted), ["CAP_NET_ADMIN", "ALL"]);
    }
}
