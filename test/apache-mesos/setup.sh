#!/bin/sh
# setup.sh DIR: a genuine Apache Mesos 1.11.0 master and agent under DIR/libexec/mesos, in about half a minute.
#
# Their code is the native library inside the Python package mesos.scheduler 1.11.0, which links all of libmesos;
# mesosd.cpp calls its exported constructors. Nothing of Mesos is compiled. Needs Debian 12 on x86-64.
# Running it again does nothing while these files are unchanged.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
[ $# = 1 ] || { sed -n '2,6p' "$0"; exit 64; }
mkdir -p "$1"; out=$(cd "$1" && pwd)
# The layouts that mesosd.cpp assumes are those of this very file.
sha=84d7ee9af27e912636b139de40257df1ee4f56c201de6bba834278aa1e8fd64c
stamp=$(cat "$here"/setup.sh "$here"/*.py "$here"/*.c "$here"/*.cpp "$here"/mesos-fetcher | sha256sum)
[ "$(cat "$out/stamp" 2>/dev/null)" = "$stamp" ] && exit 0

packages="g++ binutils python3 python3-setuptools libsvn1 libapr1 libsasl2-2 libsasl2-modules libcurl4 libssl3 zlib1g"
missing=
for p in $packages; do dpkg -s "$p" >/dev/null 2>&1 || missing="$missing $p"; done
if [ -n "$missing" ]; then
  echo "apache-mesos: installing$missing"
  # shellcheck disable=SC2086
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
fi

so=$out/dl/_scheduler.so
[ -f "$so" ] || python3 "$here/fetch.py" "$out/dl" "$sha"
rm -rf "$out/tmp"; mkdir -p "$out/lib" "$out/libexec/mesos" "$out/tmp"
ln -sf "$so" "$out/lib/_scheduler.so"

# The library was linked against older sonames; each shim forwards what exists today and answers 0 for the rest.
system=/usr/lib/x86_64-linux-gnu
shim() { # SONAME REAL-LIBRARY FORWARDED-NAMES
  python3 "$here/mkshim.py" "$so" "$1" "$2" "$out/tmp/$1" "$3"
  gcc -O1 -shared -fPIC -Wl,-soname,"$1" -Wl,--version-script="$out/tmp/$1.map" -o "$out/lib/$1" "$out/tmp/$1.c"
}
shim libcurl.so.4 $system/libcurl.so.4 'curl_.*'
shim libcrypto.so.1.0.0 $system/libcrypto.so.3 'SHA256|HMAC|EVP_sha1|EVP_sha256|ERR_(clear|get|peek)_error|ERR_error_string(_n)?|ERR_reason_error_string|X509_get_default_cert_.*|BN_.*|CRYPTO_free|RAND_poll'
shim libssl.so.1.0.0 $system/libssl.so.3 'none'

gcc -O1 -c -fPIC -w -o "$out/tmp/pystubs.o" "$here/pystubs.c"
g++ -O1 -std=c++17 -Wall -Wno-unused -o "$out/libexec/mesos/mesosd" "$here/mesosd.cpp" "$out/tmp/pystubs.o" \
  -rdynamic -L"$out/lib" -l:_scheduler.so -ldl \
  -Wl,--unresolved-symbols=ignore-in-shared-libs -Wl,--disable-new-dtags -Wl,-rpath,"$out/lib"
install -m 755 "$here/mesos-fetcher" "$out/libexec/mesos/"
for name in mesos-local mesos-master mesos-agent mesos-containerizer; do ln -sf mesosd "$out/libexec/mesos/$name"; done
echo "$stamp" >"$out/stamp"
