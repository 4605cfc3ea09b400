#!/bin/sh
# Unpacks what pack_gpu.mjs packed, once, and runs a command in it with its Node:  sh run.sh node bench/gpu/run.mjs --parts suite
# ZEROGATE_UNPACK chooses where (default: a folder in TMPDIR or /tmp). All other variables pass through.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
[ $# -gt 0 ] || { echo "usage: sh run.sh COMMAND [ARGUMENT...]" >&2; exit 2; }
stamp=$(cat "$here/stamp")
to=${ZEROGATE_UNPACK:-${TMPDIR:-/tmp}/zerogate-gpu-$stamp}
unpack() {
  mkdir -p "$2"
  if command -v xz >/dev/null 2>&1; then xz -dc "$1" | tar -C "$2" -xf -
  elif command -v python3 >/dev/null 2>&1; then
    python3 -c 'import lzma, shutil, sys; shutil.copyfileobj(lzma.open(sys.argv[1]), sys.stdout.buffer, 1 << 20)' "$1" | tar -C "$2" -xf -
  else echo "Cannot unpack $1: neither xz nor python3 is here" >&2; exit 1; fi
}
if [ "$(cat "$to/stamp" 2>/dev/null || true)" != "$stamp" ]; then
  rm -rf "$to/node" "$to/work"
  unpack "$here/node.tar.xz" "$to/node"
  unpack "$here/app.tar.xz" "$to/work"
  [ -x "$to/node/node" ] && [ -f "$to/work/app/package.json" ] || { echo "Cannot unpack $here into $to" >&2; exit 1; }
  cp "$here/stamp" "$to/stamp"
fi
PATH="$to/node:${PATH:-/usr/bin:/bin}"
export PATH
# The Python of the PATH may be a link into an environment, whose libraries are found by its name.
: "${VIRTUAL_ENV:=$(python3 -c 'import sys; print(sys.prefix)' 2>/dev/null || true)}"
export VIRTUAL_ENV
cd "$to/work/app"
exec "$@"
