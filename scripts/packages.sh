#!/usr/bin/env bash
# packages.sh PURPOSE...: installs the Debian packages that PURPOSE (build, run, test) needs and that are missing.
# Says first what it will install; never removes or upgrades one.
set -euo pipefail

# A program that must be on PATH (or in the given folder), and the package that brings it.
build=(gcc:gcc cc:gcc /usr/lib/x86_64-linux-gnu/libc.a:libc6-dev cmake:cmake make:make)
run=(containerd:containerd ctr:containerd runc:runc nft:nftables ip:iproute2 nsenter:util-linux
     /usr/lib/cni/bridge:containernetworking-plugins)
test=(python3:python3 pip3:python3-pip setuptools:python3-setuptools curl:curl unzip:unzip)

PATH=$PATH:/usr/sbin:/sbin
missing=()
for purpose in "$@"; do
  declare -n needs=$purpose
  for need in "${needs[@]}"; do
    program=${need%%:*} package=${need#*:}
    case $program in
      /*) [ -e "$program" ] && continue ;;
      pip3) python3 -m pip --version >/dev/null 2>&1 && continue ;;
      setuptools) python3 -c 'import setuptools' >/dev/null 2>&1 && continue ;;
      *) command -v "$program" >/dev/null 2>&1 && continue ;;
    esac
    [[ " ${missing[*]:-} " == *" $package "* ]] || missing+=("$package")
  done
done
[ ${#missing[@]} -gt 0 ] || exit 0

echo "  installing Debian packages: ${missing[*]}"
if ! command -v apt-get >/dev/null 2>&1; then
  echo "  this machine has no apt-get; please install them with its own package manager" >&2
  exit 1
fi
[ "$(id -u)" = 0 ] || { echo "  this needs root: run it again with sudo" >&2; exit 1; }
log=$(mktemp)
trap 'rm -f "$log"' EXIT
install() {
  DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends --no-remove "${missing[@]}" >"$log" 2>&1
}
if ! install; then
  # The package lists may be missing or old.
  apt-get update >"$log" 2>&1 && install || { tail -n 20 "$log" >&2; exit 1; }
fi
