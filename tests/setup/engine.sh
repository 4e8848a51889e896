#!/usr/bin/env bash
# Starts a Docker engine where none answers. There may be no init system (a container, a bare VM), so dockerd is started directly and
# outlives this shell; where systemd runs, its unit is used.
. "$(dirname "$0")/prelude.sh"

answers() { timeout 5 docker version --format '{{.Server.Version}}' >/dev/null 2>&1 || docker_answers_as_root; }
docker_answers_as_root() { [ "$(id -u)" != 0 ] && as_root timeout 5 docker version --format '{{.Server.Version}}' >/dev/null 2>&1; }

if answers; then exit 0; fi
command -v dockerd >/dev/null || fail "dockerd is not installed: run tests/setup/packages.sh (or make setup)"

log="${LONGSHORE_DOCKERD_LOG:-/var/log/longshore-dockerd.log}"
if [ -d /run/systemd/system ] && as_root systemctl start docker 2>/dev/null; then
    say "starting the Docker engine through systemd"
    log=""
else
    say "starting the Docker engine (log: $log)"
    # An engine that was killed leaves its pid file; a recycled pid would keep the next one from starting.
    if [ -f /var/run/docker.pid ] && ! grep -qs dockerd "/proc/$(cat /var/run/docker.pid)/comm"; then
        as_root rm -f /var/run/docker.pid
    fi
    # live-restore: containers outlive the engine.
    as_root sh -c "setsid nohup dockerd --live-restore >>'$log' 2>&1 </dev/null & echo \$! >/var/run/longshore-dockerd.pid"
fi

for _ in $(seq 1 120); do
    if answers; then say "the Docker engine answers"; exit 0; fi
    if [ -n "$log" ] && ! as_root kill -0 "$(cat /var/run/longshore-dockerd.pid)" 2>/dev/null; then break; fi
    sleep 0.5
done
[ -n "$log" ] && as_root tail -n 20 "$log" >&2
fail "the Docker engine does not answer. Its log's end is above; it needs root, cgroups and iptables (in a container: --privileged)"
