#!/bin/sh
# Compiles the BPF programs beside their sources; with --check, compiles them elsewhere and compares byte for byte.
# BPF_DIRECTORY: where the sources are; here, when it does not say.
set -eu
cd "${BPF_DIRECTORY:-$(dirname "$0")}"
clang=${CLANG:-clang}
strip=${LLVM_STRIP:-llvm-strip}

compile() { # SOURCE OBJECT
    "$clang" -O2 -g -Wall -Werror -target bpf -mcpu=v3 \
        -I"/usr/include/$(uname -m)-linux-gnu" -fdebug-prefix-map="$PWD=." -fdebug-compilation-dir=. \
        -c "$1" -o "$2"
    "$strip" -g "$2"
}

out=.
if [ "${1:-}" = --check ]; then
    out=$(mktemp -d)
    trap 'rm -rf "$out"' EXIT
fi
status=0
for source in *.bpf.c; do
    object=${source%.c}.o
    compile "$source" "$out/$object"
    if [ "$out" != . ] && ! cmp "$out/$object" "$object"; then
        echo "$object is not what $source compiles to with $("$clang" --version | head -n 1): run $0" >&2
        status=1
    fi
done
exit $status
