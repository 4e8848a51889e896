#!/usr/bin/env bash
# Everything that `make demo` and `make test` need beside a Rust toolchain. Each script is quick where its part is there already.
set -euo pipefail
here="$(dirname "$0")"
for part in packages engine agent base-image registry tools; do
    "$here/$part.sh"
done
