#!/usr/bin/env bash
# images.sh: builds the demo program as a static executable and packs it as an OCI image, target/images/demo.tar.
# No registry and no image tool is needed: `km image pack` writes the layout. KM names the km binary to pack with.
set -euo pipefail
cd "$(dirname "$0")/.."

km=${KM:?set KM to the km binary}
target=$(uname -m)-unknown-linux-gnu
out=target/images
mkdir -p "$out"
# A target folder of its own: other flags must not make cargo rebuild the rest. `--target` keeps the flags from
# build scripts, which may not be static.
RUSTFLAGS="-C target-feature=+crt-static" \
  cargo build --quiet -p km-demo --release --target "$target" --target-dir target/static
program=target/static/$target/release/demo
if [ "$out/demo.tar" -nt "$program" ] && [ "$out/demo.tar" -nt "$km" ]; then
  exit 0
fi
"$km" image pack --reference localhost/demo:latest --entrypoint /demo --expose 8080/tcp \
  --file /demo="$program" --output "$out/demo.tar"
