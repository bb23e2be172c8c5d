//! What a private containerd is told: its own configuration file and the CNI network, as text.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::cgroup::CgroupRoot;
use super::footprint::Footprint;
use super::programs::Programs;

/// The longest path of a unix socket, from sockaddr_un, without its final zero byte.
const SOCKET_PATH_BYTES_MAX: usize = 107;

/// One executor's runtime: where it lives and how its pods reach each other.
#[derive(Clone, Debug)]
pub struct RuntimeConfig {
    /// Tells this runtime from others on the host; at most 8 of `[0-9a-f]`, for names of links are short.
    pub id: String,
    /// The executor's work folder: images, state and volumes lie below.
    pub work_dir: PathBuf,
    /// A short folder for sockets, `/run/km/<id>`.
    pub socket_dir: PathBuf,
    /// The sandbox image's reference.
    pub pause_image: String,
    /// The pod network, or `None` until the node has a range: see [`super::Runtime::set_network`].
    pub network: Option<PodNetwork>,
    /// A folder of `hosts.toml` files for registries, if there is one.
    pub registry_config: Option<PathBuf>,
    /// PATH's value, to search programs in.
    pub path: OsString,
    /// Variables to pass to containerd besides PATH: proxies for pulling.
    pub environment: Vec<(OsString, OsString)>,
}

/// The addresses of one node's pods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodNetwork {
    /// The node's range, `10.244.3.0/24`.
    pub subnet: String,
    /// The largest packet, or `None` for the default.
    pub mtu: Option<u32>,
}

impl RuntimeConfig {
    /// The pods' volumes, a shared mount.
    #[must_use]
    pub fn volumes(&self) -> PathBuf {
        self.work_dir.join("volumes")
    }

    /// The bridge's name: 11 bytes of the kernel's 15.
    #[must_use]
    pub fn bridge(&self) -> String {
        format!("km-{}", self.id)
    }

    pub(super) fn home(&self) -> PathBuf {
        self.work_dir.join("containerd")
    }

    pub(super) fn config_file(&self) -> PathBuf {
        self.socket_dir.join("containerd.toml")
    }

    pub(super) fn cni_config_dir(&self) -> PathBuf {
        self.home().join("cni/net.d")
    }

    pub(super) fn footprint(&self, cgroups: &CgroupRoot) -> Footprint {
        Footprint {
            socket_dir: self.socket_dir.clone(),
            folders: vec![self.home()],
            volumes: self.volumes(),
            cgroups: cgroups.folders(),
            bridge: self.bridge(),
            network: format!("km-{}", self.id),
        }
    }

    /// Says what is wrong with the configuration.
    pub(super) fn problem(&self) -> Option<String> {
        let id_is_good = (1..=8).contains(&self.id.len()) && self.id.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !id_is_good {
            return Some(format!("runtime id {:?} is not 1 to 8 hex digits", self.id));
        }
        // The longest of the sockets in that folder.
        let socket = self.socket_dir.join("containerd.sock.ttrpc");
        if socket.as_os_str().len() > SOCKET_PATH_BYTES_MAX {
            return Some(format!("socket path {} is longer than {SOCKET_PATH_BYTES_MAX} bytes", socket.display()));
        }
        let absolute = self.work_dir.is_absolute() && self.socket_dir.is_absolute();
        (!absolute).then(|| "work and socket folder must be absolute paths".to_owned())
    }
}

/// What the host allows, found out before the configuration is written.
#[derive(Clone, Copy, Debug)]
pub(super) struct HostTraits {
    /// Whether a process may lower its oom_score_adj.
    pub(super) may_lower_oom_score: bool,
    /// Whether AppArmor is on.
    pub(super) apparmor: bool,
}

/// Renders containerd's configuration (version 2, understood by 1.6, 1.7 and 2.x).
pub(super) fn containerd_toml(config: &RuntimeConfig, programs: &Programs, host: HostTraits) -> String {
    let path = |path: &Path| quoted(&path.display().to_string());
    let home = config.home();
    let registry = config.registry_config.as_deref().map(path).unwrap_or_else(|| "\"\"".to_owned());
    format!(
        r#"# Written by the executor at every start; changes are lost.
version = 2
root = {root}
state = {state}
oom_score = 0
disabled_plugins = ["io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.aufs", "io.containerd.internal.v1.opt"]
[grpc]
  address = {socket}
[ttrpc]
  address = {ttrpc}
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = {pause}
  disable_apparmor = {disable_apparmor}
  # Without CAP_SYS_RESOURCE runc cannot give the pause process its usual -998, and every container would fail.
  restrict_oom_score_adj = {restrict_oom}
  # Network namespaces lie below our state, so that two executors on a host and a sweep never meet.
  netns_mounts_under_state_dir = true
  stream_server_address = "127.0.0.1"
  stream_server_port = "0"
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = {registry}
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = {cni_bin}
    conf_dir = {cni_conf}
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
        BinaryName = {runc}
        Root = {runc_root}
"#,
        root = path(&home.join("root")),
        state = path(&home.join("state")),
        socket = path(&config.socket_dir.join("containerd.sock")),
        ttrpc = path(&config.socket_dir.join("containerd.sock.ttrpc")),
        pause = quoted(&config.pause_image),
        disable_apparmor = !host.apparmor,
        restrict_oom = !host.may_lower_oom_score,
        cni_bin = path(&programs.cni),
        cni_conf = path(&config.cni_config_dir()),
        runc = path(&programs.runc),
        runc_root = path(&home.join("runc")),
    )
}

/// Renders the pod network: a bridge with addresses from the node's range. Service addresses, host ports and leaving
/// the cluster are the proxy's, so neither `portmap` nor `ipMasq`.
pub(super) fn conflist(config: &RuntimeConfig, network: &PodNetwork) -> String {
    let mut bridge = json!({
        "type": "bridge",
        "bridge": config.bridge(),
        "isGateway": true,
        "hairpinMode": true,
        "ipam": {
            "type": "host-local",
            "dataDir": config.home().join("cni/ipam"),
            "ranges": [[{ "subnet": network.subnet }]],
            "routes": [{ "dst": "0.0.0.0/0" }],
        },
    });
    if let Some(mtu) = network.mtu {
        bridge["mtu"] = json!(mtu);
    }
    json!({ "cniVersion": "1.0.0", "name": format!("km-{}", config.id), "plugins": [bridge] }).to_string()
}

/// A TOML basic string; JSON's escapes are a subset of TOML's.
fn quoted(text: &str) -> String {
    json!(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> RuntimeConfig {
        RuntimeConfig {
            id: "0a1b2c3d".to_owned(),
            work_dir: "/work \"dir\"".into(),
            socket_dir: "/run/km/0a1b2c3d".into(),
            pause_image: "localhost/pause:3.10".to_owned(),
            network: None,
            registry_config: None,
            path: OsString::new(),
            environment: Vec::new(),
        }
    }

    #[test]
    fn odd_folders_are_escaped_and_missing_powers_are_respected() {
        let programs = Programs {
            containerd: "/usr/bin/containerd".into(),
            ctr: "/usr/bin/ctr".into(),
            runc: "/usr/sbin/runc".into(),
            cni: "/usr/lib/cni".into(),
            path: OsString::new(),
        };
        let text = containerd_toml(&config(), &programs, HostTraits { may_lower_oom_score: false, apparmor: false });
        for line in [
            r#"root = "/work \"dir\"/containerd/root""#,
            "restrict_oom_score_adj = true",
            "disable_apparmor = true",
            r#"BinaryName = "/usr/sbin/runc""#,
        ] {
            assert!(text.lines().any(|found| found.trim() == line), "{line} is missing in\n{text}");
        }
    }

    #[test]
    fn bad_configurations_are_refused_with_a_reason() {
        let mut long = config();
        long.socket_dir = format!("/run/{}", "x".repeat(100)).into();
        assert!(long.problem().unwrap().contains("longer than 107 bytes"));
        let mut id = config();
        id.id = "executor-1".to_owned();
        assert_eq!(id.problem().unwrap(), r#"runtime id "executor-1" is not 1 to 8 hex digits"#);
        assert_eq!(config().problem(), None);
    }
}
