#!/usr/bin/env bash
# The one test command. It installs what is missing, checks format and lint,
# runs every test with the race detector against real servers, fuzzes each
# parser for a moment, and builds what a user would build. A skipped test is a
# failure. The last line is "N passed, N failed, N skipped".
#
#   ./test.sh           everything
#   ./test.sh --short   the quick half for daily work: format, vet, and the
#                       tests of the packages that start no server and no Caddy
#   ./test.sh --ad      the LDAP directory against a real Active Directory alone:
#                       Samba's domain controller, which needs root for its
#                       fixed ports 389 and 636, on loopback. It takes a minute
#                       and is no part of the others.
#
# Tools and packages of test servers go to TOKEN_ENRICH_TOOLS, by default
# token-enrich-tools in the user's cache folder; nothing is written beside
# the sources.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

readonly golangci=v2.15.0               # github.com/golangci/golangci-lint
readonly tags=nobadger,nomysql,nopgx    # as released: xcaddy builds with these
readonly fuzz_runs=20000x               # for each fuzz target: a count, since go test sometimes
                                        # reports the end of a duration as a failure
readonly tools=(./.ci/report ./.ci/filecircles)   # programs of this script's own, which ./... leaves out
readonly cores=2                        # packages at a time, where they may

export TOKEN_ENRICH_TOOLS=${TOKEN_ENRICH_TOOLS:-${XDG_CACHE_HOME:-$HOME/.cache}/token-enrich-tools}

short=
ad=
once=(-count=1)
case "${1-}" in
	"") ;;
	--short) short=yes once=() ;;
	--ad) ad=yes ;;
	*)
		sed -n '2,/^set /{/^# \{0,1\}/s///p}' "$0" >&2
		exit 2
		;;
esac
[ $# -le 1 ] || { echo "test.sh takes one option at most" >&2; exit 2; }

say() { printf '==> %s\n' "$*"; }

# ---- what the tests need -------------------------------------------------

# needed lists what the tests need: a command that succeeds where the thing is
# there, and its Debian packages.
needed() {
	if [ -n "$ad" ]; then
		cat <<-'END'
			command -v gcc|gcc libc6-dev
			command -v samba|samba samba-ad-dc
			command -v samba-tool|samba python3-samba
			test -d /usr/share/samba/setup|samba-ad-provision
			ls /usr/lib/*/samba/ldb/samldb.so|samba-dsdb-modules
		END
		return
	fi
	cat <<-'END'
		command -v gcc|gcc libc6-dev
		command -v openssl|openssl
		command -v curl|curl
		command -v node|nodejs
		command -v npm|npm
		command -v redis-server|redis-server
		test -x /usr/sbin/slapd|slapd
		command -v ldapadd|ldap-utils
		ls /usr/lib/postgresql/*/bin/postgres|postgresql
		test -x /usr/sbin/pgbouncer|pgbouncer
		/usr/bin/python3 -c 'import jwt, cryptography'|python3-jwt python3-cryptography
		/usr/bin/ruby -rjwt -e 1|ruby ruby-jwt
		/usr/bin/python3 -c 'import starlette, werkzeug'|python3-starlette python3-werkzeug
		command -v php|php-cli
		command -v javac|default-jdk-headless
		test -e /usr/share/java/tomcat10-coyote.jar|libtomcat10-java
		/usr/bin/python3 -c 'import flask'|python3-flask
		ls /usr/sbin/php-fpm[0-9]*|php-fpm
		test -x /usr/sbin/nginx|nginx
		test -r /usr/share/tomcat10/bin/bootstrap.jar|tomcat10-common
		command -v chromium|chromium
		test -r /usr/share/fonts/truetype/dejavu/DejaVuSans.ttf|fonts-dejavu-core
	END
}

# debian_packages prints the Debian packages of what is missing.
debian_packages() {
	local probe packages
	while IFS='|' read -r probe packages; do
		eval "$probe" >/dev/null 2>&1 || printf '%s ' "$packages"
	done < <(needed)
}

install_debian() {
	local packages as_root=
	packages=$(debian_packages)
	[ -n "$packages" ] || return 0
	[ "$(id -u)" = 0 ] || as_root="sudo -n"
	if ! command -v apt-get >/dev/null || { [ -n "$as_root" ] && ! $as_root true 2>/dev/null; }; then
		echo "The tests need these Debian packages, or what they hold: $packages" >&2
		exit 1
	fi
	say "installing $packages"
	# Without systemd, the run level keeps Debian from starting the servers: the tests
	# start their own. Both variables are lists.
	# shellcheck disable=SC2086
	$as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq update >/dev/null
	# shellcheck disable=SC2086
	$as_root env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get -qq install --no-install-recommends $packages >/dev/null
	packages=$(debian_packages)
	[ -z "$packages" ] || { echo "Still missing after installing: $packages" >&2; exit 1; }
}

# install_npm installs what each lock file in the repository pins, in a folder
# named for the lock file's content, which is where the tests look.
install_npm() {
	local lock folder
	while IFS= read -r lock; do
		if grep -q '"resolved"' "$lock"; then
			echo "$lock names a registry: write it with npm install --omit-lockfile-registry-resolved" >&2
			exit 1
		fi
		folder=$TOKEN_ENRICH_TOOLS/npm-$(openssl dgst -sha256 -r "$lock" | cut -c1-16)
		[ -d "$folder/node_modules" ] && continue
		say "installing the packages of ${lock%/*}"
		rm -rf "$folder.part"
		mkdir -p "$folder.part"
		cp "${lock%/*}/package.json" "$lock" "$folder.part/"
		(cd "$folder.part" && npm ci --omit=dev --ignore-scripts --no-audit --no-fund --loglevel=error)
		mv "$folder.part" "$folder"
	done < <(find . -name package-lock.json -not -path '*/node_modules/*')
}

install_golangci() {
	local bin=$TOKEN_ENRICH_TOOLS/bin
	if [ "$("$bin/golangci-lint" version --short 2>/dev/null)" != "${golangci#v}" ]; then
		say "building golangci-lint $golangci"
		mkdir -p "$bin"
		GOBIN=$bin go install "github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$golangci"
	fi
}

command -v go >/dev/null || { echo "The tests need Go: https://go.dev/dl/" >&2; exit 1; }
if [ -n "$ad" ]; then
	[ "$(id -u)" = 0 ] || { echo "The domain controller needs root, for ports 389 and 636" >&2; exit 1; }
	install_debian
elif [ -z "$short" ]; then
	install_debian
	install_npm
	install_golangci
fi
work=$(mktemp -d)
export work
trap 'rm -rf "$work"' EXIT
go build -o "$work/report" ./.ci/report

# ---- what is run ---------------------------------------------------------

# unformatted fails where a Go file of ours is not gofmt-ed. It is run through
# bash -c.
# shellcheck disable=SC2317
unformatted() {
	local list
	list=$(gofmt -l .) || return 1
	[ -z "$list" ] || { printf 'not gofmt-ed:\n%s\n' "$list"; return 1; }
}
export -f unformatted

# starts_servers tells whether a package's tests start a Caddy or a server of
# another process: such packages are run one at a time.
starts_servers() {
	case "$1" in */caddymodule | */caddymodule/* | */cmd/*) return 0 ;; esac
	grep -qE '"os/exec"|caddyserver/caddy|[a-z]test\.Start[A-Z]' "$2"/*_test.go 2>/dev/null
}

check() { "$work/report" run "$@" || status=1; }

# Only the quick half takes a result from the cache of an earlier run.
tests() { go test -json -race -tags "$tags" -timeout 1h ${once[@]+"${once[@]}"} "$@" || status=1; }

# fuzz gives each fuzz target a moment.
fuzz() {
	local dir target
	while IFS= read -r dir; do
		while IFS= read -r target; do
			check "fuzz $dir $target" go test -tags "$tags" -run '^$' -fuzz "^$target\$" -fuzztime "$fuzz_runs" "$dir"
		done < <(go test -tags "$tags" -list '^Fuzz' "$dir" | grep '^Fuzz')
	done < <(grep -rlE '^func Fuzz' --include='*_test.go' . | xargs -r -n1 dirname | sort -u)
}

# everything prints the events of all that is run.
everything() {
	local package dir together=() alone=()
	status=0
	if [ -n "$ad" ]; then
		tests -tags "$tags,ad" -run '^TestActiveDirectory$' ./enrich/directory/ldap
		return "$status"
	fi
	while read -r package dir; do
		if starts_servers "$package" "$dir"; then alone+=("$package"); else together+=("$package"); fi
	done < <(go list -tags "$tags" -f '{{.ImportPath}} {{.Dir}}' ./... "${tools[@]}")

	check gofmt bash -c unformatted
	check vet go vet -tags "$tags,ad" ./... "${tools[@]}"
	check "circles of files" go run ./.ci/filecircles -tags "$tags"
	if [ -z "$short" ]; then
		check "vet without build tags" go vet ./...
		check lint "$TOKEN_ENRICH_TOOLS/bin/golangci-lint" run ./... "${tools[@]}"
	fi
	tests -p "$cores" "${together[@]}"
	if [ -z "$short" ]; then
		tests -p 1 "${alone[@]}"
		fuzz
		check xcaddy.sh ./xcaddy.sh --output "$work/caddy"
	fi
	return "$status"
}

# All of it runs in a process group of its own, so that an interrupt ends the
# tests' servers too, and nobody else's.
set -m
(everything | "$work/report") &
group=$!
set +m
trap 'kill -TERM -- "-$group" 2>/dev/null || true' INT TERM
result=0
wait "$group" || result=$?
while kill -0 "$group" 2>/dev/null; do wait "$group" || result=$?; done
exit "$result"
