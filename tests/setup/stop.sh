#!/usr/bin/env bash
# Stops what engine.sh and registry.sh started, by the process ids that they recorded. What somebody else started is left alone.
. "$(dirname "$0")/prelude.sh"

# end <file with a process id> <name that the process must have> <as_root or nothing>
end() {
    local file="$1" name="$2" how="${3:-}" pid
    [ -f "$file" ] || return 0
    pid="$(cat "$file")"
    # The id may be another process's by now.
    if [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = "$name" ]; then
        say "stopping $name ($pid)"
        $how kill "$pid"
        for _ in $(seq 1 100); do
            [ -d "/proc/$pid" ] || break
            sleep 0.2
        done
        [ ! -d "/proc/$pid" ] || fail "$name ($pid) does not stop"
    fi
    $how rm -f "$file"
}

end "$SETUP_TARGET/registry/pid" docker-registry
end /var/run/longshore-dockerd.pid dockerd as_root
