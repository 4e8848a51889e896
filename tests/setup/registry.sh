#!/usr/bin/env bash
# Starts an OCI registry on the loopback address where none answers; it keeps its images under target/registry.
# LONGSHORE_REGISTRY_PORT (default 5055) says where.
. "$(dirname "$0")/prelude.sh"

port="${LONGSHORE_REGISTRY_PORT:-5055}"
folder="$SETUP_TARGET/registry"
answers() { curl -fsS --noproxy '*' --max-time 2 "http://127.0.0.1:$port/v2/" >/dev/null 2>&1; }

if answers; then exit 0; fi
command -v docker-registry >/dev/null || fail "docker-registry is not installed: run tests/setup/packages.sh (or make setup)"
mkdir -p "$folder/storage"
# No `cache`: what it remembers of blobs would outlive a collection, and pushes would leave them out.
cat >"$folder/config.yml" <<YAML
version: 0.1
log: {level: warn}
storage:
  filesystem: {rootdirectory: $folder/storage}
  delete: {enabled: true}
http: {addr: 127.0.0.1:$port}
YAML
say "starting an image registry on 127.0.0.1:$port (log: target/registry/log)"
# The log's `secret` guards uploads that several registries share; a single one makes up its own.
OTEL_TRACES_EXPORTER=none setsid nohup docker-registry serve "$folder/config.yml" >>"$folder/log" 2>&1 </dev/null &
pid=$!
echo "$pid" >"$folder/pid"
for _ in $(seq 1 100); do
    if answers; then exit 0; fi
    kill -0 "$pid" 2>/dev/null || break
    sleep 0.1
done
tail -n 20 "$folder/log" >&2
fail "the image registry does not answer on 127.0.0.1:$port (its log's end is above). Is the port taken? LONGSHORE_REGISTRY_PORT names another"
