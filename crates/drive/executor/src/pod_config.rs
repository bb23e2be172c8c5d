//! The sandbox and container configurations that CRI is given for a pod, as a kubelet would write them.
//!
//! Pure but for the folders whose paths it names; reading what the pod refers to is `variables` and `volumes`.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

use km_api::Quantity;
use km_cri::pb;
use km_kinds::api::core::v1::{Container, Pod, PodSecurityContext, SeccompProfile, SecurityContext};
use km_podwire::ExecutorData;

use crate::context::{
    CONTAINER_NAME_LABEL, Dirs, NODE_LABEL, POD_NAME_LABEL, POD_NAMESPACE_LABEL, POD_UID_LABEL, PodContext,
    RESTART_COUNT_ANNOTATION,
};
use crate::runtime::capabilities::BoundingSet;
use crate::variables::expand;

/// Length of the period in which a CPU quota counts, in microseconds.
const CPU_PERIOD_US: i64 = 100_000;
/// cgroup v1's smallest share.
const CPU_SHARES_MIN: i64 = 2;
/// The smallest quota that the kernel takes, in microseconds.
const CPU_QUOTA_MIN_US: i64 = 1_000;

/// Returns the sandbox's configuration.
pub(crate) fn sandbox(
    data: &ExecutorData,
    dirs: &Dirs,
    pod: &PodContext,
    attempt: u32,
    cgroup_parent: Option<String>,
) -> pb::PodSandboxConfig {
    let spec = pod.pod.spec.clone().unwrap_or_default();
    let host_network = spec.host_network == Some(true);
    let context = spec.security_context.clone().unwrap_or_default();
    let privileged =
        spec.containers.iter().any(|c| c.security_context.as_ref().is_some_and(|s| s.privileged == Some(true)));
    let security = pb::LinuxSandboxSecurityContext {
        namespace_options: Some(namespaces(&pod.pod)),
        run_as_user: context.run_as_user.map(|value| pb::Int64Value { value }),
        run_as_group: context.run_as_group.map(|value| pb::Int64Value { value }),
        supplemental_groups: groups(&context),
        privileged,
        seccomp: Some(seccomp(context.seccomp_profile.as_ref(), None, privileged)),
        ..pb::LinuxSandboxSecurityContext::default()
    };
    let sysctls: HashMap<String, String> =
        context.sysctls.into_iter().flatten().map(|sysctl| (sysctl.name, sysctl.value)).collect();
    pb::PodSandboxConfig {
        metadata: Some(pb::PodSandboxMetadata {
            name: pod.key.name.clone(),
            uid: pod.uid.to_string(),
            namespace: pod.key.namespace.clone(),
            attempt,
        }),
        // A pod in the host's network has the host's name; containerd refuses another.
        hostname: if host_network { String::new() } else { hostname(&pod.pod) },
        log_directory: dirs.logs(&pod.key, &pod.uid).display().to_string(),
        dns_config: dns(data, pod),
        labels: labels(data, pod, None),
        annotations: annotations(&pod.pod),
        linux: Some(pb::LinuxPodSandboxConfig {
            cgroup_parent: cgroup_parent.unwrap_or_default(),
            security_context: Some(security),
            sysctls,
            ..pb::LinuxPodSandboxConfig::default()
        }),
        ..pb::PodSandboxConfig::default()
    }
}

/// Returns the pod's host name: its own, else its name cut to what a host name may be.
pub(crate) fn hostname(pod: &Pod) -> String {
    let spec = pod.spec.as_ref();
    let own = spec.and_then(|s| s.hostname_override.clone().or(s.hostname.clone())).filter(|name| !name.is_empty());
    let name = own.or_else(|| pod.metadata.name.clone()).unwrap_or_default();
    name.chars().take(63).collect::<String>().trim_end_matches(['-', '.']).to_owned()
}

fn namespaces(pod: &Pod) -> pb::NamespaceOption {
    let spec = pod.spec.clone().unwrap_or_default();
    let node_or = |wanted: Option<bool>, other: pb::NamespaceMode| {
        i32::from(if wanted == Some(true) { pb::NamespaceMode::Node } else { other })
    };
    let pid =
        if spec.share_process_namespace == Some(true) { pb::NamespaceMode::Pod } else { pb::NamespaceMode::Container };
    pb::NamespaceOption {
        network: node_or(spec.host_network, pb::NamespaceMode::Pod),
        pid: node_or(spec.host_pid, pid),
        ipc: node_or(spec.host_ipc, pb::NamespaceMode::Pod),
        ..pb::NamespaceOption::default()
    }
}

fn groups(context: &PodSecurityContext) -> Vec<i64> {
    let supplemental = context.supplemental_groups.iter().flatten().copied();
    supplemental.chain(context.fs_group).collect()
}

/// Returns what goes into the containers' resolv.conf; `None` leaves the host's.
// k8s 1.33 pkg/kubelet/network/dns/dns.go.
fn dns(data: &ExecutorData, pod: &PodContext) -> Option<pb::DnsConfig> {
    let spec = pod.pod.spec.clone().unwrap_or_default();
    let policy = spec.dns_policy.as_deref().unwrap_or("ClusterFirst");
    let cluster = match policy {
        "ClusterFirst" => spec.host_network != Some(true),
        "ClusterFirstWithHostNet" => true,
        _ => false,
    };
    let own = spec.dns_config.unwrap_or_default();
    let mut config = if cluster && !data.cluster_dns.is_empty() {
        let domain = &data.cluster_domain;
        pb::DnsConfig {
            servers: vec![data.cluster_dns.clone()],
            searches: vec![format!("{}.svc.{domain}", pod.key.namespace), format!("svc.{domain}"), domain.clone()],
            options: vec!["ndots:5".to_owned()],
        }
    } else if policy == "None" {
        pb::DnsConfig::default()
    } else if own.nameservers.is_some() || own.searches.is_some() || own.options.is_some() {
        host_dns()
    } else {
        return None;
    };
    config.servers.extend(own.nameservers.into_iter().flatten());
    config.searches.extend(own.searches.into_iter().flatten());
    for option in own.options.into_iter().flatten() {
        let name = option.name.unwrap_or_default();
        let text = option.value.map_or(name.clone(), |value| format!("{name}:{value}"));
        config.options.retain(|other| other.split(':').next() != Some(name.as_str()));
        config.options.push(text);
    }
    Some(config)
}

fn host_dns() -> pb::DnsConfig {
    let mut config = pb::DnsConfig::default();
    let text = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    for line in text.lines() {
        let mut words = line.split_whitespace().map(str::to_owned);
        match words.next().as_deref() {
            Some("nameserver") => config.servers.extend(words.next()),
            Some("search") => config.searches = words.collect(),
            Some("options") => config.options.extend(words),
            _ => {}
        }
    }
    config
}

fn labels(data: &ExecutorData, pod: &PodContext, container: Option<&str>) -> HashMap<String, String> {
    let own = pod.pod.metadata.labels.clone().unwrap_or_default();
    // A sandbox carries the pod's own labels, a container does not, as with a kubelet.
    let mut labels: HashMap<String, String> =
        if container.is_none() { own.into_iter().collect() } else { HashMap::new() };
    labels.insert(POD_NAME_LABEL.into(), pod.key.name.clone());
    labels.insert(POD_NAMESPACE_LABEL.into(), pod.key.namespace.clone());
    labels.insert(POD_UID_LABEL.into(), pod.uid.to_string());
    labels.insert(NODE_LABEL.into(), data.node_name.clone());
    if let Some(name) = container {
        labels.insert(CONTAINER_NAME_LABEL.into(), name.to_owned());
    }
    labels
}

fn annotations(pod: &Pod) -> HashMap<String, String> {
    pod.metadata.annotations.clone().unwrap_or_default().into_iter().collect()
}

/// Whom an image runs as by itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum ImageUser {
    /// A number; 0 where the image says nothing.
    Id(i64),
    /// A name, which only the image's own files could turn into a number.
    Name(String),
    /// Nobody asked.
    #[default]
    Unknown,
}

impl ImageUser {
    pub(crate) fn of(image: &pb::Image) -> Self {
        match &image.uid {
            Some(id) => Self::Id(id.value),
            None if image.username.is_empty() => Self::Id(0),
            None => Self::Name(image.username.clone()),
        }
    }
}

/// What a container's configuration needs beside the pod.
pub(crate) struct Inputs<'a> {
    pub(crate) data: &'a ExecutorData,
    pub(crate) pod: &'a PodContext,
    pub(crate) container: &'a Container,
    pub(crate) attempt: u32,
    pub(crate) image: String,
    /// Whom the image runs as where the pod does not say.
    pub(crate) image_user: ImageUser,
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) mounts: Vec<pb::Mount>,
    pub(crate) bounding: Option<BoundingSet>,
    pub(crate) oom_score_adj_min: i64,
    pub(crate) node_memory_bytes: i64,
}

/// Returns a container's configuration.
///
/// # Errors
/// The text that a kubelet shows with CreateContainerConfigError.
pub(crate) fn container(inputs: Inputs<'_>) -> Result<pb::ContainerConfig, String> {
    let Inputs { container, pod, .. } = &inputs;
    let variables: BTreeMap<String, String> = inputs.environment.iter().cloned().collect();
    let expand_all = |list: &Option<Vec<String>>| -> Vec<String> {
        list.iter().flatten().map(|text| expand(text, &variables)).collect()
    };
    let termination_path = container.termination_message_path.clone().unwrap_or_else(|| "/dev/termination-log".into());
    let annotations = HashMap::from([
        (RESTART_COUNT_ANNOTATION.to_owned(), inputs.attempt.to_string()),
        ("io.kubernetes.container.terminationMessagePath".to_owned(), termination_path),
        (
            "io.kubernetes.container.terminationMessagePolicy".to_owned(),
            container.termination_message_policy.clone().unwrap_or_else(|| "File".into()),
        ),
    ]);
    let envs = inputs.environment.iter().map(|(key, value)| pb::KeyValue { key: key.clone(), value: value.clone() });
    Ok(pb::ContainerConfig {
        metadata: Some(pb::ContainerMetadata { name: container.name.clone(), attempt: inputs.attempt }),
        image: Some(pb::ImageSpec {
            image: inputs.image.clone(),
            user_specified_image: container.image.clone().unwrap_or_default(),
            ..pb::ImageSpec::default()
        }),
        command: expand_all(&container.command),
        args: expand_all(&container.args),
        working_dir: container.working_dir.clone().unwrap_or_default(),
        envs: envs.collect(),
        mounts: inputs.mounts.clone(),
        labels: labels(inputs.data, pod, Some(&container.name)),
        annotations,
        log_path: Dirs::log_file(&container.name, inputs.attempt),
        stdin: container.stdin == Some(true),
        stdin_once: container.stdin_once == Some(true),
        tty: container.tty == Some(true),
        linux: Some(pb::LinuxContainerConfig {
            resources: Some(resources(&inputs)),
            security_context: Some(security(&inputs)?),
        }),
        ..pb::ContainerConfig::default()
    })
}

fn amount(container: &Container, list: &str, name: &str) -> Option<Quantity> {
    let resources = container.resources.as_ref()?;
    let map = if list == "limits" { resources.limits.as_ref() } else { resources.requests.as_ref() };
    map?.get(name).and_then(|quantity| Quantity::parse(&quantity.0).ok())
}

// k8s 1.33 pkg/kubelet/kuberuntime/kuberuntime_container_linux.go, calculateLinuxResources.
fn resources(inputs: &Inputs<'_>) -> pb::LinuxContainerResources {
    let container = inputs.container;
    let request = amount(container, "requests", "cpu").or_else(|| amount(container, "limits", "cpu"));
    let shares = request.map_or(CPU_SHARES_MIN, |cpu| (cpu.milli_ceil() * 1_024 / 1_000).max(CPU_SHARES_MIN));
    let quota = amount(container, "limits", "cpu").filter(|cpu| !cpu.is_zero());
    let quota = quota.map_or(0, |cpu| (cpu.milli_ceil() * CPU_PERIOD_US / 1_000).max(CPU_QUOTA_MIN_US));
    pb::LinuxContainerResources {
        cpu_period: if quota > 0 { CPU_PERIOD_US } else { 0 },
        cpu_quota: quota,
        cpu_shares: shares,
        memory_limit_in_bytes: amount(container, "limits", "memory").map_or(0, Quantity::units_ceil),
        oom_score_adj: oom_score_adj(inputs).max(inputs.oom_score_adj_min),
        ..pb::LinuxContainerResources::default()
    }
}

/// Who dies first when the node's memory is short.
// k8s 1.33 pkg/kubelet/qos/policy.go.
fn oom_score_adj(inputs: &Inputs<'_>) -> i64 {
    let class = inputs.pod.pod.status.as_ref().and_then(|status| status.qos_class.as_deref()).unwrap_or_default();
    let request =
        amount(inputs.container, "requests", "memory").or_else(|| amount(inputs.container, "limits", "memory"));
    match (class, request) {
        ("Guaranteed", _) => -997,
        ("BestEffort", _) | (_, None) => 1_000,
        (_, Some(memory)) => {
            let share = 1_000 - 1_000 * memory.units_ceil() / inputs.node_memory_bytes.max(1);
            share.clamp(3, 999)
        }
    }
}

fn security(inputs: &Inputs<'_>) -> Result<pb::LinuxContainerSecurityContext, String> {
    let spec = inputs.pod.pod.spec.clone().unwrap_or_default();
    let of_pod = spec.security_context.unwrap_or_default();
    let own: SecurityContext = inputs.container.security_context.clone().unwrap_or_default();
    let user = own.run_as_user.or(of_pod.run_as_user);
    let group = own.run_as_group.or(of_pod.run_as_group);
    if own.run_as_non_root.or(of_pod.run_as_non_root) == Some(true)
        && let Some(why) = runs_as_root(user, &inputs.image_user)
    {
        return Err(format!(
            "{why} (pod: \"{}_{}({})\", container: {})",
            inputs.pod.key.name, inputs.pod.key.namespace, inputs.pod.uid, inputs.container.name
        ));
    }
    let privileged = own.privileged == Some(true);
    let capabilities = own.capabilities.clone().unwrap_or_default();
    let added = capabilities.add.unwrap_or_default();
    let added = match inputs.bounding {
        Some(bounding) => bounding.clamp(&added),
        None => added,
    };
    Ok(pb::LinuxContainerSecurityContext {
        capabilities: Some(pb::Capability {
            add_capabilities: added,
            drop_capabilities: capabilities.drop.unwrap_or_default(),
            ..pb::Capability::default()
        }),
        privileged,
        namespace_options: Some(namespaces(&inputs.pod.pod)),
        run_as_user: user.map(|value| pb::Int64Value { value }),
        // CRI refuses a group without a user.
        run_as_group: group.filter(|_| user.is_some()).map(|value| pb::Int64Value { value }),
        readonly_rootfs: own.read_only_root_filesystem == Some(true),
        supplemental_groups: groups(&of_pod),
        no_new_privs: own.allow_privilege_escalation == Some(false),
        masked_paths: if privileged { Vec::new() } else { strings(&MASKED_PATHS) },
        readonly_paths: if privileged { Vec::new() } else { strings(&READONLY_PATHS) },
        seccomp: Some(seccomp(own.seccomp_profile.as_ref(), of_pod.seccomp_profile.as_ref(), privileged)),
        ..pb::LinuxContainerSecurityContext::default()
    })
}

/// Returns why a container that must not run as root may do so.
// k8s 1.37 pkg/kubelet/kuberuntime/security_context_others.go, verifyRunAsNonRoot.
fn runs_as_root(user: Option<i64>, image: &ImageUser) -> Option<String> {
    match (user, image) {
        (Some(0), _) => Some("container's runAsUser breaks non-root policy".into()),
        (None, ImageUser::Id(0)) => Some("container has runAsNonRoot and image will run as root".into()),
        (None, ImageUser::Name(name)) => Some(format!(
            "container has runAsNonRoot and image has non-numeric user ({name}), cannot verify user is non-root"
        )),
        _ => None,
    }
}

// k8s 1.33 pkg/securitycontext/util.go.
const MASKED_PATHS: [&str; 10] = [
    "/proc/asound",
    "/proc/acpi",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/sys/firmware",
];
const READONLY_PATHS: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

fn strings(list: &[&str]) -> Vec<String> {
    list.iter().map(|&text| text.to_owned()).collect()
}

fn seccomp(own: Option<&SeccompProfile>, of_pod: Option<&SeccompProfile>, privileged: bool) -> pb::SecurityProfile {
    use pb::security_profile::ProfileType;
    let profile = own.or(of_pod);
    let (kind, file) = match profile.map(|profile| profile.type_.as_str()) {
        Some("RuntimeDefault") if !privileged => (ProfileType::RuntimeDefault, String::new()),
        Some("Localhost") if !privileged => {
            (ProfileType::Localhost, profile.and_then(|p| p.localhost_profile.clone()).unwrap_or_default())
        }
        _ => (ProfileType::Unconfined, String::new()),
    };
    pb::SecurityProfile { profile_type: kind.into(), localhost_ref: file }
}

/// Returns the text of the pod's /etc/hosts.
// k8s 1.33 pkg/kubelet/kubelet_pods.go, managedHostsFileContent.
pub(crate) fn hosts_file(data: &ExecutorData, pod: &PodContext) -> String {
    let spec = pod.pod.spec.clone().unwrap_or_default();
    let mut text = if spec.host_network == Some(true) {
        let host = std::fs::read_to_string("/etc/hosts").unwrap_or_default();
        format!("# Kubernetes-managed hosts file (host network).\n{host}")
    } else {
        let mut text = String::from(
            "# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n\
             fe00::0\tip6-localnet\nfe00::0\tip6-mcastprefix\nfe00::1\tip6-allnodes\nfe00::2\tip6-allrouters\n",
        );
        let name = hostname(&pod.pod);
        for ip in &pod.pod_ips {
            match spec.subdomain.as_deref().filter(|subdomain| !subdomain.is_empty()) {
                Some(subdomain) => {
                    let domain = &data.cluster_domain;
                    let full = format!("{name}.{subdomain}.{}.svc.{domain}", pod.key.namespace);
                    text.push_str(&format!("{ip}\t{full}\t{name}\n"));
                }
                None => text.push_str(&format!("{ip}\t{name}\n")),
            }
        }
        text
    };
    let aliases: Vec<_> = spec.host_aliases.into_iter().flatten().collect();
    if !aliases.is_empty() {
        text.push_str("\n# Entries added by HostAliases.\n");
        for alias in aliases {
            text.push_str(&format!("{}\t{}\n", alias.ip, alias.hostnames.unwrap_or_default().join("\t")));
        }
    }
    text
}

/// Returns a path below `base`, refusing one that leaves it.
pub(crate) fn below(base: PathBuf, sub_path: &str) -> Result<PathBuf, String> {
    use std::path::{Component, Path};
    let safe = Path::new(sub_path).components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if safe { Ok(base.join(sub_path)) } else { Err(format!("subPath {sub_path:?} must not leave the volume")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn non_root_is_verified_against_the_image() {
        let image = |uid: Option<i64>, name: &str| {
            let uid = uid.map(|value| pb::Int64Value { value });
            ImageUser::of(&pb::Image { uid, username: name.into(), ..pb::Image::default() })
        };
        assert!(runs_as_root(Some(0), &image(Some(5), "")).is_some());
        assert!(runs_as_root(None, &image(None, "")).is_some(), "an image without a user runs as root");
        assert!(runs_as_root(None, &image(None, "nobody")).unwrap().contains("non-numeric user (nobody)"));
        assert_eq!(runs_as_root(None, &image(Some(5), "")), None);
        assert_eq!(runs_as_root(Some(5), &image(Some(0), "")), None);
    }
}
