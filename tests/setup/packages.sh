#!/usr/bin/env bash
# Installs what is missing of the system packages that `make demo` and `make test` need (Debian 12 or newer, Ubuntu 22.04 or newer).
# Asks the network for nothing where all is there.
. "$(dirname "$0")/prelude.sh"

command -v apt-get >/dev/null || fail "this needs apt-get (Debian or Ubuntu). Elsewhere install docker, a docker registry, debootstrap, iptables, git, ripgrep, curl, chromium, python3 with venv, node with npm, ruby with minitest, make and a C compiler, then run the other scripts of tests/setup"

wanted=()
# want <command> <package…>: the packages, where no such command is found.
want() {
    local command="$1"; shift
    PATH="$PATH:/usr/sbin:/sbin" command -v "$command" >/dev/null || wanted+=("$@")
}
want dockerd docker.io
want docker-registry docker-registry
want debootstrap debootstrap
want iptables iptables
want ip iproute2
want git git
want rg ripgrep
want curl curl
want make make
want cc build-essential
want python3 python3
want ruby ruby
want node nodejs npm
want npm npm
want ps procps
[ -e /etc/ssl/certs/ca-certificates.crt ] || wanted+=(ca-certificates)
[ -x /usr/lib/git-core/git-http-backend ] || wanted+=(git)
python3 -c 'import ensurepip' 2>/dev/null || wanted+=(python3-venv)
ruby -e 'require "minitest"' 2>/dev/null || wanted+=(ruby-minitest)
browser=()
command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null || browser=(chromium)
# Without them a picture of the page shows boxes for emoji, and other letters than the pictures that are there.
[ -e /usr/share/fonts/truetype/noto/NotoColorEmoji.ttf ] || browser+=(fonts-noto-color-emoji)
[ -e /usr/share/fonts/truetype/lato/Lato-Regular.ttf ] || browser+=(fonts-lato)

if [ "${#wanted[@]}" = 0 ] && [ "${#browser[@]}" = 0 ]; then exit 0; fi

export DEBIAN_FRONTEND=noninteractive
say "installing ${wanted[*]} ${browser[*]}"
as_root apt-get update -qq || say "apt-get update failed; trying with the lists that are there"
if [ "${#wanted[@]}" != 0 ]; then
    as_root apt-get install -y -qq --no-install-recommends "${wanted[@]}" >/dev/null \
        || fail "apt-get could not install: ${wanted[*]} (its message is above)"
fi
# From Debian 13 on the CLI is a package of its own.
command -v docker >/dev/null || as_root apt-get install -y -qq --no-install-recommends docker-cli >/dev/null \
    || fail "the docker CLI is missing: install docker-cli"
if [ "${#browser[@]}" != 0 ]; then
    as_root apt-get install -y -qq --no-install-recommends "${browser[@]}" >/dev/null \
        || say "apt-get could not install ${browser[*]}: pictures of the page cannot be taken, nor its test run; everything else works"
fi
