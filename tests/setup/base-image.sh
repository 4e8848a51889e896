#!/usr/bin/env bash
# Builds the image that every repository's image starts from (sandbox/base/), as longshore/base:<hash of its inputs> and longshore/base:latest.
# Does nothing where an image of that hash is there.
. "$(dirname "$0")/prelude.sh"

definition="$ROOT/sandbox/base"
agent="$SETUP_TARGET/tools/opencode"
authorities=/etc/ssl/certs/ca-certificates.crt
parent=longshore/parent:bookworm
[ -x "$agent/opencode" ] || fail "the agent's binary is missing: run tests/setup/agent.sh"
[ -e "$authorities" ] || fail "$authorities is missing: install ca-certificates"

hash="$({ cat "$definition/Dockerfile" "$definition/run" "$definition/services" "$agent/version" "$authorities"; } | sha256sum | cut -c1-16)"
if docker_ image inspect "longshore/base:$hash" >/dev/null 2>&1; then
    docker_ tag "longshore/base:$hash" longshore/base:latest
    exit 0
fi

if ! docker_ image inspect "$parent" >/dev/null 2>&1; then
    # `timeout` takes a command, not a function; the engine goes on with a pull whose client left, which does no harm.
    docker_ version >/dev/null || fail "no Docker engine answers: run tests/setup/engine.sh"
    export -f docker_ as_root fail
    if timeout "${LONGSHORE_PULL_TIMEOUT:-45}" bash -c 'docker_ pull -q debian:bookworm-slim' >/dev/null 2>&1; then
        docker_ tag debian:bookworm-slim "$parent"
    else
        say "no image registry is reachable: making a Debian with debootstrap (about half a minute)"
        scratch="$(mktemp -d)"
        trap 'as_root rm -rf "$scratch"' EXIT
        as_root debootstrap --variant=minbase bookworm "$scratch/root" "${LONGSHORE_DEBIAN_MIRROR:-http://deb.debian.org/debian}" \
            >"$SETUP_TARGET/debootstrap.log" 2>&1 || { tail -n 20 "$SETUP_TARGET/debootstrap.log" >&2; fail "debootstrap failed (the end of target/debootstrap.log is above)"; }
        as_root rm -rf "$scratch/root/var/cache/apt/archives" "$scratch/root/var/lib/apt/lists"
        as_root mkdir -p "$scratch/root/var/cache/apt/archives/partial" "$scratch/root/var/lib/apt/lists/partial"
        as_root tar -C "$scratch/root" -c . | docker_ import - "$parent" >/dev/null
    fi
fi

say "building longshore/base:$hash"
context="$(mktemp -d "$SETUP_TARGET/base-context.XXXXXX")"
trap 'rm -rf "$context"; [ -z "${scratch:-}" ] || as_root rm -rf "$scratch"' EXIT
cp "$definition/Dockerfile" "$definition/run" "$definition/services" "$context/"
cp "$authorities" "$context/host-ca.crt"
# A hard link where it is one file system: the binary is large.
ln "$agent/opencode" "$context/opencode" 2>/dev/null || cp "$agent/opencode" "$context/opencode"
DOCKER_BUILDKIT=0 docker_ build -q --build-arg "PARENT=$parent" -t "longshore/base:$hash" "$context" >"$SETUP_TARGET/base-image.log" 2>&1 \
    || { tail -n 30 "$SETUP_TARGET/base-image.log" >&2; fail "the base image could not be built (the end of target/base-image.log is above)"; }
docker_ tag "longshore/base:$hash" longshore/base:latest
