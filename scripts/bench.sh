#!/usr/bin/env bash
# bench.sh: measures km on this machine and writes docs/benchmarks.md. Needs root and about six minutes.
#
#   --km FILE         the km binary (default: builds target/release/km)
#   --bench FILE      the km-bench binary (default: builds target/release/km-bench)
#   --runs N          starts of `km up` that are timed (default 5)
#   --pods N          pods per series (default 100)
#   --every-ms N      time between two creations (default 500)
#   --output FILE     the report (default docs/benchmarks.md)
#   --apache DIR      where test/apache-mesos/setup.sh puts Apache Mesos (default target/apache-mesos); `none` leaves it out
#   --clean-build     also times a release build from nothing (minutes)
#
# Everything runs in a network namespace and a folder of its own; both are gone afterwards.
set -euo pipefail
cd "$(dirname "$0")/.."

km= bench= runs=5 pods=100 every_ms=500 output=docs/benchmarks.md apache=target/apache-mesos clean_build=
while [ $# -gt 0 ]; do
  case $1 in
    --clean-build) clean_build=yes; shift; continue ;;
    --km) km=$2 ;; --bench) bench=$2 ;; --runs) runs=$2 ;; --pods) pods=$2 ;;
    --every-ms) every_ms=$2 ;; --output) output=$2 ;; --apache) apache=$2 ;;
    *) sed -n '2,13p' "$0" >&2; exit 64 ;;
  esac
  shift 2
done
[ "$(id -u)" = 0 ] || { echo "bench.sh starts containers and needs root" >&2; exit 1; }
PATH=$PATH:/usr/sbin:/sbin

scripts/packages.sh build run test
if [ -z "$km" ]; then cargo build --release -p km; km=target/release/km; fi
if [ -z "$bench" ]; then cargo build --release -p km-bench; bench=target/release/km-bench; fi
KM=$km scripts/images.sh
image=$PWD/target/images/demo.tar

# Short: the paths of Unix sockets end at 108 bytes.
work=$(mktemp -d /tmp/km-bench-XXXXXX)
netns=$(basename "$work")
# A name of its own: the processes are found by it.
cp "$km" "$work/km"; cp "$bench" "$work/km-bench"
km=$work/km bench=$work/km-bench data=$work/data mesos=

ip netns add "$netns"
ip -n "$netns" link set lo up
# Not `ip netns exec`: its mount namespace hides the cgroups.
inside() { nsenter --net="/run/netns/$netns" "$@"; }

cleanup() {
  inside timeout 90 "$km" down --data-dir "$data" >/dev/null 2>&1 || true
  [ -z "$mesos" ] || test/apache-mesos/cluster.sh "$apache" "$mesos" stop || true
  ip netns delete "$netns" || true
  rm -rf "$work" || true
}
trap cleanup EXIT
say() { printf '  %s\n' "$*" >&2; }

now_ms() { echo $(($(date +%s%N) / 1000000)); }
# median_min_max FILE: of one number a line.
median_min_max() { sort -n "$1" | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)], v[1], v[NR] }'; }

fresh() { rm -rf "$data"; mkdir -p "$data"; inside "$km" image import --data-dir "$data" "$image" >/dev/null; }
start() { inside "$km" up --detach --data-dir "$data" "$@"; }
stop() { inside "$km" down --data-dir "$data"; }

measure_starts() {
  : >"$work/ready"; : >"$work/demo"; : >"$work/again"
  local run from up answered
  for run in $(seq "$runs"); do
    say "km up, run $run of $runs"
    fresh
    from=$(now_ms); start; up=$(now_ms)
    inside "$km" demo --data-dir "$data" >/dev/null; answered=$(now_ms)
    echo $((up - from)) >>"$work/ready"; echo $((answered - from)) >>"$work/demo"
    if [ "$run" = "$runs" ]; then
      say "memory after one minute of rest"
      sleep 60
      inside "$bench" memory >"$work/memory"
    fi
    stop
    from=$(now_ms); start; up=$(now_ms)
    echo $((up - from)) >>"$work/again"
    stop
  done
}

# measure_pods NAME FLAG...: a series of pods on a new cluster.
measure_pods() {
  local name=$1; shift
  say "$pods pods on $name"
  fresh; start "$@"
  inside "$bench" pods --kubeconfig "$data/admin.kubeconfig" --pods "$pods" --every-ms "$every_ms" >"$work/pods-$name"
  stop
}

measure_apache() {
  test/apache-mesos/setup.sh "$apache" >&2
  mesos=$work/mesos
  inside test/apache-mesos/cluster.sh "$apache" "$mesos" start --agents=2
  measure_pods apache --mesos-master 127.0.0.1:5050
  test/apache-mesos/cluster.sh "$apache" "$mesos" stop
  mesos=
}

measure_containerd() {
  say "$pods pods on containerd alone"
  mkdir -p "$work/cri"
  inside "$bench" cri --folder "$work/cri" --image "$image" --pods "$pods" --every-ms "$every_ms" >"$work/pods-containerd"
}

measure_build() {
  say "a release build from nothing"
  local from; from=$(now_ms)
  CARGO_TARGET_DIR=$work/target cargo build --quiet --release -p km
  echo $((($(now_ms) - from) / 1000)) >"$work/build"
  rm -rf "$work/target"
}

# field NAME SERIES COLUMN: one cell of a series of km-bench (2: count, 3: p50, 4: p99, 5: min, 6: max).
field() { awk -F'\t' -v name="$2" -v column="$3" '$1 == name { print $column }' "$work/pods-$1"; }
ratio() { awk -v a="$1" -v b="$2" 'BEGIN { if (a + 0 > 0 && b + 0 > 0) printf "%.1f", a / b; else printf "-" }'; }

report() {
  local size
  size=$(stat -c %s "$km" | awk '{ printf "%.1f", $1 / 1048576 }')
  cat <<TEXT
# Benchmarks

Written by \`make bench\` (\`scripts/bench.sh\`); not edited by hand. Budgets are what we hold ourselves to.

Machine: $(nproc) cpus ($(awk -F': ' '/^model name/ { print $2; exit }' /proc/cpuinfo)), $(awk '/MemTotal/ { printf "%.0f", $2 / 1048576 }' /proc/meminfo) GiB of memory, Linux $(uname -r),
cgroup $([ -f /sys/fs/cgroup/cgroup.controllers ] && echo v2 || echo v1), $(containerd --version | awk '{ print $1, $3 }'), $(runc --version | head -n 1). Measured $(date -u '+%Y-%m-%d %H:%M') UTC at
commit $(git rev-parse --short HEAD 2>/dev/null || echo unknown)$([ -z "$(git status --porcelain --untracked-files=no -- crates 2>/dev/null)" ] || echo ' (with changes)'), load average before it $load_before.

## Start

$runs first starts with an empty data folder and the demo's image present, and as many second ones. \`km up --detach\` returns
when the API answers; \`km demo\` when the demo's pod has answered over its Service's name.

| what | command | median | min | max | budget |
|---|---|---|---|---|---|
$(median_min_max "$work/ready" | awk '{ printf "| first start, API ready | `km up --detach` | %d ms | %d ms | %d ms | |", $1, $2, $3 }')
$(median_min_max "$work/demo" | awk '{ printf "| first start to the demo answering | `km up --detach && km demo` | %d ms | %d ms | %d ms | 3 s |", $1, $2, $3 }')
$(median_min_max "$work/again" | awk '{ printf "| second start, API ready | `km up --detach` | %d ms | %d ms | %d ms | |", $1, $2, $3 }')

## Memory at rest

Proportional set size (Pss of /proc/PID/smaps_rollup) one minute after the demo answered, with its one pod running; what
runs in containers is not in it. Command: \`km-bench memory\`. \`km up\` is API server, store, controllers, framework, Mesos master
and agent in one process. Budget for it: 40 MiB.

| part | processes | Pss |
|---|---|---|
$(awk -F'\t' '{ printf "| %s | %d | %.1f MiB |\n", $1, $2, $3 / 1024; n += $2; sum += $3 } END { printf "| together | %d | %.1f MiB |", n, sum / 1024 }' "$work/memory")

## Binary and build

| what | command | value |
|---|---|---|
| size of the binary | \`cargo build --release -p km\` | $size MiB |
$(if [ -f "$work/build" ]; then echo "| that build from nothing, dependencies downloaded | the same, with an empty target folder | $(cat "$work/build") s |"; else echo "| that build from nothing | \`scripts/bench.sh --clean-build\` | not measured in this run |"; fi)

## Create to Running

$pods pods of one container, one created every $every_ms ms and left running; every node has run a pod before. Times are taken in one
client process, from just before the request to the watch event with the change. containerd alone: RunPodSandbox,
CreateContainer and StartContainer through CRI at the same pace, on the same containerd configuration, without volumes.
Command: \`km-bench pods\`, \`km-bench cri\`. Budget for create to Running: p50 300 ms, p99 1 s.

| where | what | pods | p50 | p99 | min | max | p50 ÷ containerd's |
|---|---|---|---|---|---|---|---|
$(rows)

What km and Mesos add to containerd's own p50: $(added).
Latencies hold for this pace; they say nothing about throughput.
TEXT
}

rows() {
  local where title what base times
  base=$(field containerd 'sandbox and container' 3)
  for where in embedded apache containerd; do
    [ -f "$work/pods-$where" ] || continue
    case $where in
      embedded) title='km, embedded Mesos, one agent' ;;
      apache) title='km, Apache Mesos 1.11.0, two agents' ;;
      containerd) title='containerd alone' ;;
    esac
    while IFS=$'\t' read -r what count p50 p99 min max; do
      times=-
      case $what in 'created to running' | 'sandbox and container') times=$(ratio "$p50" "$base") ;; esac
      echo "| $title | $what | $count of $pods | $p50 ms | $p99 ms | $min ms | $max ms | $times |"
    done <"$work/pods-$where"
  done
}

# added: the whole less containerd's part, for each Mesos.
added() {
  local base text=
  base=$(field containerd 'sandbox and container' 3)
  text="$(($(field embedded 'created to running' 3) - base)) ms on the embedded Mesos"
  [ ! -f "$work/pods-apache" ] || text="$text, $(($(field apache 'created to running' 3) - base)) ms on Apache Mesos"
  echo "$text"
}

load_before=$(cut -d' ' -f1 /proc/loadavg)
measure_starts
# Enough for the series, whatever the machine has.
measure_pods embedded '--resources=cpus:8;mem:4096;disk:8192;ports:[31000-31099]'
[ "$apache" = none ] || measure_apache
measure_containerd
[ -z "$clean_build" ] || measure_build
report >"$work/report.md"
mv "$work/report.md" "$output"
say "written: $output"
