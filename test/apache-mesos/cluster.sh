#!/bin/sh
# cluster.sh DIR WORK start [OPTION...]: one Apache Mesos master and its agents, after setup.sh DIR.
# cluster.sh DIR WORK stop: ends them, and removes the cgroups of agents that used some.
#
#   --bind=IP       address of master and agents (default 127.0.0.1)
#   --port=N        port of the master (default 5050); agents get the ports after it
#   --agents=N      how many agents (default 2): 2 cpus, 2 GiB, 500 ports and the attribute rack:rN each
#   --cgroups=N     agent N runs with --launcher=linux --isolation=cgroups/cpu,cgroups/mem (root needed)
#   --interval=T    the allocator's interval (default 200ms, so that tests need not wait)
#
# Agents are lost after 3 s here, not 75 s. Each process takes about 75 MB. Logs and pids are in WORK.
set -eu
[ $# -ge 3 ] || { sed -n '2,12p' "$0"; exit 64; }
bin=$(cd "$1/libexec/mesos" && pwd); mkdir -p "$2"; work=$(cd "$2" && pwd); what=$3; shift 3
bind=127.0.0.1 port=5050 agents=2 cgroups=0 interval=200ms
for option; do
  case $option in
    --bind=*) bind=${option#*=} ;;
    --port=*) port=${option#*=} ;;
    --agents=*) agents=${option#*=} ;;
    --cgroups=*) cgroups=${option#*=} ;;
    --interval=*) interval=${option#*=} ;;
    *) echo "cluster.sh: unknown option $option" >&2; exit 64 ;;
  esac
done

start() {
  [ ! -f "$work/pids" ] || { echo "cluster.sh: $work/pids exists; stop it first" >&2; exit 1; }
  "$bin/mesos-master" --ip="$bind" --hostname="$bind" --port="$port" --work_dir="$work/master" \
    --allocation_interval="$interval" --agent_ping_timeout=1secs --max_agent_ping_timeouts=3 \
    >"$work/master.log" 2>&1 &
  echo $! >"$work/pids"
  n=0
  while [ $n -lt "$agents" ]; do
    n=$((n + 1))
    if [ "$cgroups" = $n ]; then
      contain="--launcher=linux --isolation=cgroups/cpu,cgroups/mem --cgroups_root=apache-mesos-$port-$n"
      echo "apache-mesos-$port-$n" >>"$work/cgroups"
    else
      contain="--launcher=posix --isolation=posix/cpu,posix/mem"
    fi
    # shellcheck disable=SC2086
    "$bin/mesos-agent" --master="$bind:$port" --ip="$bind" --port=$((port + n)) --hostname="agent$n" $contain \
      --work_dir="$work/a$n" --runtime_dir="$work/r$n" --fetcher_cache_dir="$work/f$n" --launcher_dir="$bin" \
      --no-systemd_enable_support --attributes="rack:r$n" \
      --resources="cpus:2;mem:2048;disk:4096;ports:[3${n}000-3${n}499]" >"$work/agent$n.log" 2>&1 &
    echo $! >>"$work/pids"
  done
  tries=0
  until [ "$(curl -s "http://$bind:$port/slaves" | grep -o '"active":true' | wc -l)" = "$agents" ]; do
    tries=$((tries + 1))
    [ $tries -lt 150 ] || { echo "cluster.sh: the agents did not register; see $work/*.log" >&2; stop; exit 1; }
    sleep 0.2
  done
}

stop() {
  [ -f "$work/pids" ] || return 0
  while read -r pid; do kill "$pid" 2>/dev/null || true; done <"$work/pids"
  while read -r pid; do while kill -0 "$pid" 2>/dev/null; do sleep 0.1; done; done <"$work/pids"
  rm "$work/pids"
  # An agent leaves its executors' containers to its next start; here there is none.
  [ -f "$work/cgroups" ] || return 0
  while read -r root; do
    for hierarchy in /sys/fs/cgroup/*; do
      [ -d "$hierarchy/$root" ] || continue
      find "$hierarchy/$root" -name cgroup.procs -exec cat {} + | while read -r pid; do kill -9 "$pid" 2>/dev/null || true; done
      tries=0
      until find "$hierarchy/$root" -depth -type d -exec rmdir {} + 2>/dev/null || [ $tries -ge 50 ]; do
        tries=$((tries + 1)); sleep 0.1
      done
    done
  done <"$work/cgroups"
  rm "$work/cgroups"
}

case $what in
  start) start ;;
  stop) stop ;;
  *) echo "cluster.sh: start or stop, not $what" >&2; exit 64 ;;
esac
