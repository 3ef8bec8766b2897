#!/usr/bin/env bash
# Builds Caddy with this checkout's modules, as xcaddy would: with xcaddy where
# it is on PATH, else by the same steps without it. Then runs what it built:
# version, the list of modules, and a validation of Caddyfile.example.
#
#   ./xcaddy.sh [--output FILE] [--with MODULE[@VERSION][=PATH]]…
#
#   --output FILE   where the binary goes; default ./caddy
#   --with …        a further Caddy module, at a version or from a folder;
#                   may be repeated
#
# GOOS, GOARCH and GOARM choose the platform; what is built for another one is
# not run.
set -euo pipefail

usage() {
	sed -n '2,/^set /{/^# \{0,1\}/s///p}' "${BASH_SOURCE[0]}" >&2
	exit 2
}

readonly module=github.com/tokenenrich/caddy-token-enrich
readonly caddy=github.com/caddyserver/caddy/v2
root=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly root

output=caddy
with=()

# add takes a further module; a folder is made absolute, because the build has
# one of its own.
add() {
	local folder
	case "$1" in
		*=*)
			folder=$(cd "${1#*=}" && pwd)
			with+=("${1%%=*}=$folder")
			;;
		*) with+=("$1") ;;
	esac
}

while [ $# -gt 0 ]; do
	case "$1" in
		--output) [ $# -ge 2 ] || usage; output=$2; shift 2 ;;
		--output=*) output=${1#*=}; shift ;;
		--with) [ $# -ge 2 ] || usage; add "$2"; shift 2 ;;
		--with=*) add "${1#--with=}"; shift ;;
		*) usage ;;
	esac
done
case "$output" in
	"") usage ;;
	/*) ;;
	*) output=$PWD/$output ;;
esac

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
version=$(cd "$root" && go list -m -f '{{.Version}}' "$caddy")

# with_xcaddy leaves it all to xcaddy, which takes our package from the
# checkout.
with_xcaddy() {
	local arguments=(--with "$module/caddymodule/standard" --replace "$module=$root") extra
	for extra in ${with[@]+"${with[@]}"}; do
		arguments+=(--with "$extra")
	done
	xcaddy build "$version" --output "$output" "${arguments[@]}"
}

# without_xcaddy builds a main of its own. It starts from the checkout's
# go.mod, so that every dependency has the version it was tested with.
without_xcaddy() {
	local extra name
	{
		printf 'package main\n\nimport (\n\tcaddycmd "%s/cmd"\n\n' "$caddy"
		printf '\t_ "%s/modules/standard"\n\t_ "%s/caddymodule/standard"\n' "$caddy" "$module"
		for extra in ${with[@]+"${with[@]}"}; do
			name=${extra%%=*}
			printf '\t_ "%s"\n' "${name%%@*}"
		done
		printf ')\n\nfunc main() { caddycmd.Main() }\n'
	} >"$work/main.go"
	cp "$root/go.mod" "$root/go.sum" "$work/"
	cd "$work"
	go mod edit -module caddy -require "$module@v0.0.0" -replace "$module=$root"
	for extra in ${with[@]+"${with[@]}"}; do
		name=${extra%%=*}
		case "$extra" in
			*=*)
				go mod edit -require "${name%%@*}@v0.0.0" -replace "${name%%@*}=${extra#*=}"
				;;
			*) env -u GOOS -u GOARCH -u GOARM go get "$name" ;;
		esac
	done
	CGO_ENABLED=${CGO_ENABLED:-0} go build -mod=mod -trimpath -ldflags '-w -s' -tags nobadger,nomysql,nopgx -o "$output" .
	cd - >/dev/null
}

if command -v xcaddy >/dev/null; then
	with_xcaddy
else
	without_xcaddy
fi

if [ "$(go env GOOS)/$(go env GOARCH)" != "$(go env GOHOSTOS)/$(go env GOHOSTARCH)" ]; then
	echo "built $output for $(go env GOOS)/$(go env GOARCH), not run here"
	exit 0
fi

# What was built has to know every module of ours and read the example. It
# keeps what it stores away from the user's own Caddy.
export XDG_DATA_HOME=$work/data XDG_CONFIG_HOME=$work/config
"$output" version
modules=$("$output" list-modules)
for id in \
	token_enrich admin.api.token_enrich http.reverse_proxy.transport.token_enrich \
	http.handlers.token_enrich{,_scrub,_jwks,_hook,_ready} \
	token_enrich.directories.{file,okta,scim,ldap,sql,http,userinfo}; do
	grep -qxF "$id" <<<"$modules" || { echo "$output lacks the module $id" >&2; exit 1; }
done
(cd "$root" && "$output" validate --config Caddyfile.example --adapter caddyfile)
echo "built $output"
