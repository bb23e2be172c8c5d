//! `--container-runtime-endpoint`: a containerd that is somebody else's, with its own sandbox image and CNI network.
//!
//! Not here: Services and cluster DNS, which reach only pods on a bridge of km's own.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use km_e2e::{Cluster, Flavour, Test, eventually, repository};

use crate::running::deploy;

pub(crate) const TESTS: [Test; 1] =
    [Test { name: "existing_containerd_runs_pods_and_stays", run: existing_containerd }];

const REPLICAS: u32 = 2;

fn existing_containerd() -> anyhow::Result<()> {
    let cluster = Cluster::prepare(Flavour::Embedded)?;
    let folder = cluster.data_dir().with_file_name("cri");
    write_configuration(&folder)?;
    let shell = cluster.shell();
    let socket = folder.join("c.sock").display().to_string();
    shell.output(&format!(
        "(containerd --config {0}/c.toml > {0}/containerd.log 2>&1 & echo $! > containerd.pid)",
        folder.display()
    ))?;
    let ctr = format!("ctr --address {socket} --namespace k8s.io");
    eventually(Duration::from_secs(20), "containerd", || shell.output(&format!("{ctr} version")))?;
    // Its sandbox image is its owner's affair; here it is the demo, which can sleep too.
    shell.output(&format!(
        "km image pack --reference localhost/pause:3.10 --entrypoint /demo --entrypoint sleep --entrypoint 1000000 \
         --file /demo=$(ls {}/target/static/*/release/demo) --output pause.tar && {ctr} image import pause.tar",
        repository().display()
    ))?;
    let test = || {
        cluster.up_with(&format!("--container-runtime-endpoint=unix://{socket}"))?;
        deploy(&cluster, REPLICAS)?;
        shell.output("kubectl logs deployment/web")?;
        shell.output("kubectl exec deployment/web -- /demo get http://127.0.0.1:8080/")?;
        shell.output("km down")?;
        let left = shell.output(&format!("{ctr} containers list --quiet"))?;
        ensure!(left.trim().is_empty(), "km down left containers: {left}");
        shell.output(&format!("{ctr} version")).context("km down ended a containerd that is not its own").map(drop)
    };
    let result = test().map_err(|error| error.context(cluster.keep_logs()));
    shell.output("kill $(cat containerd.pid); while kill -0 $(cat containerd.pid) 2>/dev/null; do sleep 0.1; done")?;
    result
}

fn write_configuration(folder: &Path) -> anyhow::Result<()> {
    let here = folder.display();
    let network = folder.join("net.d");
    fs::create_dir_all(&network).with_context(|| format!("failed to make {}", network.display()))?;
    let containerd = format!(
        r#"version = 2
root = "{here}/root"
state = "{here}/state"
disabled_plugins = ["io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.aufs"]
[grpc]
  address = "{here}/c.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/pause:3.10"
  restrict_oom_score_adj = true
  disable_apparmor = true
  stream_server_address = "127.0.0.1"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{here}/net.d"
"#
    );
    let bridge = format!(
        r#"{{"cniVersion": "1.0.0", "name": "theirs", "plugins": [{{"type": "bridge", "bridge": "theirs0", "isGateway": true,
            "ipam": {{"type": "host-local", "dataDir": "{here}/ipam", "ranges": [[{{"subnet": "10.245.0.0/24"}}]],
            "routes": [{{"dst": "0.0.0.0/0"}}]}}}}]}}"#
    );
    fs::write(folder.join("c.toml"), containerd)
        .and_then(|()| fs::write(network.join("10-theirs.conflist"), bridge))
        .context("failed to write containerd's configuration")
}
