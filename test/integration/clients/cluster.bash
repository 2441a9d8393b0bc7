# Sourced by the scripts beside it: a real cluster on loopback, of a projector with its own NATS server and three members, for a
# client that is none of ours. Everything lies in $dir and ends with the script, after $LIMIT seconds at the latest.
set -euo pipefail # so no grep -q behind a pipe: it would leave before who writes has finished
unset "${!ROLLCALL_@}" # settings of whoever runs this must not reach the programs under test
LIMIT=${LIMIT:-600}
[[ ${BOUNDED-} ]] || BOUNDED=1 exec timeout --kill-after=10 "$LIMIT" "$0" "$@"
started=()

# need PROGRAM WHERE: without the program nothing was tried, which is a failure.
need() {
	command -v "$1" >/dev/null || {
		echo "$0: not run: it needs $1; install it with: $2" >&2
		exit 1
	}
}

dir=$(mktemp -d)
finish() {
	local status=$? pid
	trap - EXIT INT TERM
	for pid in "${started[@]}"; do
		while kill -9 "$pid" 2>/dev/null; do sleep 0.05; done
	done
	if ((status != 0)) && compgen -G "$dir/*.log" >/dev/null; then
		echo "$0: failed; the last of what the programs said:" >&2
		tail -n 15 "$dir"/*.log >&2
	fi
	rm -rf "$dir"
	exit "$status"
}
trap finish EXIT
trap 'exit 1' INT TERM
# run NAME PROGRAM ARGS...: in the background, with what it says in NAME.log; its process is in $pid.
run() {
	local name=$1
	shift
	"$@" >"$dir/$name.log" 2>&1 &
	pid=$!
	disown # what becomes of it is nobody's news
	started+=("$pid")
}

# until_true TEXT COMMAND...: the command succeeds within 60 s. It may say things while it does not.
until_true() {
	local what=$1 i
	shift
	for ((i = 0; i < 300; i++)); do
		if "$@" >"$dir/try" 2>&1; then return; fi
		sleep 0.2
	done
	echo "$0: not within 60 s: $what; the last try said:" >&2
	cat "$dir/try" >&2
	exit 1
}

# said NAME MESSAGE KEY: the value of a key in a line of a program's log, when it is there.
said() {
	until_true "$1 says: $2" grep -q "\"msg\":\"$2\"" "$dir/$1.log"
	grep -m 1 "\"msg\":\"$2\"" "$dir/$1.log" | sed -E "s/.*\"$3\":\"([^\"]*)\".*/\1/"
}

# start_cluster ARGS...: a projector with these flags, and the members n1 to n3 with role=web. Sets api, nats_url, and projector and
# n1 to n3, the processes. TLS and a token guard the API: ca and token are files for its clients.
start_cluster() {
	cd "$(dirname "${BASH_SOURCE[0]}")/../../.."
	go build -buildvcs=false -o "$dir/bin/" ./cmd/member ./cmd/projector
	PATH=$dir/bin:$PATH
	local pki=$dir/pki id http
	member ca init --dir "$pki" >/dev/null
	member ca issue --dir "$pki" --id projector --host 127.0.0.1 >/dev/null
	ca=$pki/ca.pem token=$dir/token
	od -An -N 32 -tx1 /dev/urandom | tr -d ' \n' >"$token"
	run projector projector run --data "$dir/projector" --http 127.0.0.1:0 --nats-listen 127.0.0.1:0 --log-format json \
		--http-cert "$pki/projector.pem" --http-key "$pki/projector-key.pem" --http-token-file "$token" "$@"
	projector=$pid
	nats_url=$(said projector "embedded NATS server ready" url)
	api=https://$(said projector "projector is up" http)
	export ROLLCALL_API=$api ROLLCALL_API_CA=$ca ROLLCALL_TOKEN_FILE=$token
	local join=()
	for id in n1 n2 n3; do
		member ca issue --dir "$pki" --id "$id" >/dev/null
		run "$id" member run --id "$id" --bind 127.0.0.1:0 "${join[@]}" --nats "$nats_url" --data "$dir/$id" --http 127.0.0.1:0 \
			--cert "$pki/$id.pem" --key "$pki/$id-key.pem" --ca "$ca" --tag role=web --log-format json
		declare -g "$id=$pid"
		http=$(said "$id" "serving health and metrics" http)
		member tag --http "$http" "metrics=${http##*:}" >/dev/null
		join=(--join "$(said "$id" "member is up" address)")
	done
	until_true "three members are on the roll" member check --min 3 --tag role=web,metrics
}
