#!/bin/sh
# contract.sh DIR: sets Apache Mesos up in DIR and runs the contract of test/mesos-contract on it and on the embedded Mesos.
# The two must give the same lines. PORT (default 15150) and the one after it must be free.
set -eu
here=$(cd "$(dirname "$0")" && pwd); dir=$1; port=${PORT:-15150}
"$here/setup.sh" "$dir"
work=$(mktemp -d)
trap '"$here/cluster.sh" "$dir" "$work" stop; rm -rf "$work"' EXIT
"$here/cluster.sh" "$dir" "$work" start --port="$port" --agents=1
MESOS_CONTRACT_MASTER=127.0.0.1:$port cargo test -p km-mesos-contract --test it same_as_apache
