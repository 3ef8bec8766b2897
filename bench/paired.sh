#!/usr/bin/env bash
# Compares the gateway with bare Caddy under the same load at the same moment;
# see docs/speed.md. It takes less than three minutes, needs Linux and Go, and
# is no part of test.sh: a busy machine makes it no failure.
#
#   bench/paired.sh                 all cases
#   bench/paired.sh -only "one token" -rounds 25 -budget 5m
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
readonly tags=nobadger,nomysql,nopgx # as released
go build -trimpath -tags "$tags" -ldflags '-w -s' -o "$work/caddy" ./cmd/caddy
go build -o "$work/load" ./bench/load
"$work/load" -caddy "$work/caddy" "$@"
