//! The Node's heartbeat: conditions, addresses, what runs here; and the Lease.
//!
//! Capacity, allocatable, labels and taints are the framework's: it knows them from Mesos. Here is what only the
//! machine itself knows.

use std::sync::Arc;
use std::time::Duration;

use km_api::ContentType;
use km_api::resource::{LEASES, NODES};
use km_base::Timestamp;
use serde_json::{Value, json};
use tracing::debug;

use crate::context::{Context, now};
use km_net::Shutdown;

/// Name space of Leases of nodes.
const LEASES_NAMESPACE: &str = "kube-node-lease";
/// How often the Lease is renewed. (k8s 1.33: a quarter of 40 s.)
const LEASE_EVERY: Duration = Duration::from_secs(10);
/// How many renewals pass between two writes of the status. (k8s 1.33: nodeStatusReportFrequency 5 min.)
const STATUS_EVERY: u32 = 30;
/// A Lease that was renewed so late may have been missed: the Node may be marked Unknown, and pods be evicted for it.
const LATE: Duration = Duration::from_secs(25);
/// Writes of the status after that: the first may come before the one that it is to correct.
const CORRECTIONS: u32 = 4;
/// Images listed in the status. (k8s 1.33: nodeStatusMaxImages.)
const IMAGES_MAX: usize = 50;

/// Returns the machine's memory in bytes, for OOM scores.
pub(crate) fn memory_bytes() -> i64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib = line.and_then(|rest| rest.split_whitespace().next()).and_then(|kib| kib.parse::<i64>().ok());
    kib.unwrap_or(1 << 20) * 1_024
}

/// Keeps the Node alive until shutdown.
pub(crate) async fn keep(ctx: Arc<Context>, shutdown: Shutdown) {
    let mut since = None;
    let mut rounds = 0;
    let mut corrections: u32 = 0;
    let mut renewed = tokio::time::Instant::now();
    loop {
        let mut wait = LEASE_EVERY;
        if rounds % STATUS_EVERY == 0 || corrections > 0 {
            match write_status(&ctx, &mut since).await {
                Ok(()) => {
                    rounds += 1;
                    corrections = corrections.saturating_sub(1);
                }
                Err(error) => {
                    debug!(error = %error, "failed to write the node's status");
                    wait = Duration::from_secs(1);
                }
            }
        } else {
            rounds += 1;
        }
        match renew(&ctx).await {
            Ok(()) => {
                if renewed.elapsed() > LATE {
                    corrections = CORRECTIONS;
                    wait = Duration::from_secs(1);
                }
                renewed = tokio::time::Instant::now();
            }
            Err(error) => debug!(error = %error, "failed to renew the node's lease"),
        }
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = shutdown.begun() => return,
        }
    }
}

async fn write_status(ctx: &Context, since: &mut Option<Timestamp>) -> Result<(), km_api::Status> {
    let at = now();
    let version = ctx.runtime.cri.version().await.ok();
    let images = ctx.runtime.cri.list_images().await.unwrap_or_default();
    let since = since.get_or_insert(at);
    let ready = version.is_some();
    let runtime = version.map_or(String::new(), |v| format!("{}://{}", v.runtime_name, v.runtime_version));
    let status = json!({
        "conditions": conditions(at, *since, ready),
        "addresses": [
            {"type": "InternalIP", "address": ctx.data.node_ip},
            {"type": "Hostname", "address": ctx.data.node_name},
        ],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": ctx.data.kubelet_port}},
        "nodeInfo": node_info(&runtime),
        "images": images.iter().take(IMAGES_MAX).map(|image| {
            let names: Vec<&String> = image.repo_digests.iter().chain(&image.repo_tags).collect();
            json!({"names": names, "sizeBytes": image.size})
        }).collect::<Vec<_>>(),
    });
    let body = json!({ "status": status }).to_string();
    let kind = ContentType::StrategicMergePatch;
    ctx.client.patch(&NODES, "", &ctx.data.node_name, "status", kind, body).await.map(drop)
}

fn conditions(at: Timestamp, since: Timestamp, ready: bool) -> Value {
    let condition = |kind: &str, met: bool, reason: &str, message: &str| {
        json!({
            "type": kind,
            "status": if met { "True" } else { "False" },
            "lastHeartbeatTime": at.rfc3339(),
            "lastTransitionTime": since.rfc3339(),
            "reason": reason,
            "message": message,
        })
    };
    let readiness = if ready {
        condition("Ready", true, "KubeletReady", "kubelet is posting ready status")
    } else {
        condition("Ready", false, "KubeletNotReady", "container runtime is down")
    };
    json!([
        condition("MemoryPressure", false, "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
        condition("DiskPressure", false, "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
        condition("PIDPressure", false, "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
        readiness,
    ])
}

fn node_info(runtime: &str) -> Value {
    let file = |path: &str| std::fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    let os_release = file("/etc/os-release");
    let os_image = os_release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    json!({
        "machineID": file("/etc/machine-id"),
        "systemUUID": file("/sys/class/dmi/id/product_uuid"),
        "bootID": file("/proc/sys/kernel/random/boot_id"),
        "kernelVersion": file("/proc/sys/kernel/osrelease"),
        "osImage": os_image.unwrap_or("Linux").trim_matches('"'),
        "containerRuntimeVersion": runtime,
        "kubeletVersion": format!("v1.37.0-km.{}", env!("CARGO_PKG_VERSION")),
        "kubeProxyVersion": "",
        "operatingSystem": "linux",
        "architecture": architecture,
    })
}

async fn renew(ctx: &Context) -> Result<(), km_api::Status> {
    let name = &ctx.data.node_name;
    let renewed = now().rfc3339_micros();
    let spec = json!({"holderIdentity": name, "leaseDurationSeconds": 40, "renewTime": renewed});
    let patch = json!({ "spec": spec }).to_string();
    let patched = ctx.client.patch(&LEASES, LEASES_NAMESPACE, name, "", ContentType::MergePatch, patch).await;
    match patched {
        Err(status) if status.code == 404 => {
            let body = json!({
                "apiVersion": "coordination.k8s.io/v1",
                "kind": "Lease",
                "metadata": {"name": name, "namespace": LEASES_NAMESPACE},
                "spec": spec,
            });
            ctx.client.create(&LEASES, LEASES_NAMESPACE, body.to_string()).await.map(drop)
        }
        other => other.map(drop),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use km_api::{Object, Reason, Response, Status};
    use km_cri::fake::FakeCri;
    use tokio::time::Instant;

    use super::*;
    use crate::context::tests::context;

    #[tokio::test(start_paused = true)]
    async fn after_an_outage_the_node_says_soon_that_it_is_ready() {
        let dir = tempfile::tempdir().unwrap();
        let began = Instant::now();
        let writes = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&writes);
        let ctx = context(dir.path(), FakeCri::new(), move |request| {
            let second = began.elapsed().as_secs();
            if (15..75).contains(&second) {
                return Err(Status::failure(503, Reason::ServiceUnavailable, "away"));
            }
            if request.resource.plural == "nodes" {
                seen.lock().unwrap().push(second);
            }
            Ok(Response::Object(Object::parse(&br#"{"metadata":{"name":"node-1"}}"#[..]).unwrap()))
        });
        let shutdown = Shutdown::new();
        let keeping = tokio::spawn(keep(Arc::new(ctx), shutdown.clone()));
        tokio::time::sleep(Duration::from_secs(200)).await;
        shutdown.begin();
        keeping.await.unwrap();
        let writes = writes.lock().unwrap().clone();
        assert_eq!(writes.iter().filter(|second| **second < 15).count(), 1, "{writes:?}");
        assert!(writes.iter().any(|second| (75..90).contains(second)), "{writes:?}");
        assert!(writes.len() <= 1 + usize::try_from(CORRECTIONS).unwrap(), "{writes:?}");
    }
}
