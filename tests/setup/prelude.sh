# Sourced by the scripts beside it: strict mode, the repository's root, and how to say things.
set -euo pipefail

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)"
# What is set up lies under the checkout's target folder, also where CARGO_TARGET_DIR points elsewhere.
SETUP_TARGET="$ROOT/target"
mkdir -p "$SETUP_TARGET"

# Debian's docker CLI may be newer than its engine.
export DOCKER_API_VERSION="${DOCKER_API_VERSION:-1.41}"

say() { printf 'setup: %s\n' "$*" >&2; }
fail() { printf 'setup: error: %s\n' "$*" >&2; exit 1; }

# Runs a command as root: as it is where we are root, through sudo elsewhere.
as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"
    elif command -v sudo >/dev/null; then sudo --preserve-env=DOCKER_API_VERSION,DEBIAN_FRONTEND "$@"
    else fail "\`$1\` needs root: run as root, or install sudo"
    fi
}

# The docker CLI, as root where the socket is not ours.
docker_() {
    if [ -w /var/run/docker.sock ] || [ -n "${DOCKER_HOST:-}" ]; then docker "$@"; else as_root docker "$@"; fi
}
