#!/usr/bin/env bash
# Puts the coding agent's binary (OpenCode) at target/tools/opencode/opencode. It is one file and needs no Node.
. "$(dirname "$0")/prelude.sh"

version=1.18.33
case "$(uname -m)" in
    x86_64) package=opencode-linux-x64 ;;
    aarch64) package=opencode-linux-arm64 ;;
    *) fail "OpenCode is not published for $(uname -m)" ;;
esac
folder="$SETUP_TARGET/tools/opencode"
if [ -x "$folder/opencode" ] && [ "$(cat "$folder/version" 2>/dev/null)" = "$package@$version" ]; then exit 0; fi

say "fetching $package@$version from the npm registry"
mkdir -p "$folder"
scratch="$(mktemp -d "$folder/fetch.XXXXXX")"
trap 'rm -rf "$scratch"' EXIT
# npm verifies the archive against the registry's checksum.
archive="$(cd "$scratch" && npm pack --silent "$package@$version")" || fail "npm could not fetch $package@$version: is registry.npmjs.org reachable?"
tar -xzf "$scratch/$archive" -C "$scratch"
chmod 755 "$scratch/package/bin/opencode"
mv "$scratch/package/bin/opencode" "$folder/opencode"
printf '%s\n' "$package@$version" >"$folder/version"
