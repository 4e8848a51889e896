#!/usr/bin/env bash
# Installs the official clients that the emulators are tested against: Slack's and the model makers' for Python under target/tools/python,
# GitHub's for Node under target/tools/node.
. "$(dirname "$0")/prelude.sh"

python_packages=(slack_sdk websocket-client openai anthropic)
node_packages=(octokit @octokit/auth-app @octokit/webhooks-methods playwright-core)
python="$SETUP_TARGET/tools/python"
node="$SETUP_TARGET/tools/node"

# A stamp says what a finished installation holds.
if [ "$(cat "$python/stamp" 2>/dev/null)" != "${python_packages[*]}" ] || ! "$python/bin/python" -c '' 2>/dev/null; then
    say "installing ${python_packages[*]} (Python)"
    python3 -m venv --clear "$python" || fail "python3 -m venv failed: install python3-venv"
    "$python/bin/pip" install --quiet --disable-pip-version-check "${python_packages[@]}" || fail "pip could not install ${python_packages[*]}"
    printf '%s\n' "${python_packages[*]}" >"$python/stamp"
fi
if [ "$(cat "$node/stamp" 2>/dev/null)" != "${node_packages[*]}" ]; then
    say "installing ${node_packages[*]} (Node)"
    mkdir -p "$node"
    [ -e "$node/package.json" ] || printf '{"private":true}\n' >"$node/package.json"
    npm install --silent --no-audit --no-fund --prefix "$node" "${node_packages[@]}" || fail "npm could not install ${node_packages[*]}"
    printf '%s\n' "${node_packages[*]}" >"$node/stamp"
fi
