#!/bin/sh
# Compiles the programs of the side-by-side runs as the director's own are, or with --check compares them.
set -eu
BPF_DIRECTORY=$(cd "$(dirname "$0")" && pwd)
export BPF_DIRECTORY
exec "$BPF_DIRECTORY/../../forward/bpf/build.sh" "$@"
