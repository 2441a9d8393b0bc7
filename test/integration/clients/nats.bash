#!/usr/bin/env bash
# The nats CLI reads the mirror of the registry and the stream, finds the projector as a service and asks it, and may destroy
# nothing. Needs: Go, and the nats CLI; if there is none, its source is fetched and built in a directory that is removed again,
# which takes minutes. Loopback only, but for that.
source "$(dirname "$0")/cluster.bash"
CLI=github.com/nats-io/natscli/nats@v0.5.1
if ! command -v nats >/dev/null; then
	PATH=$dir/bin:$PATH
	echo "nats: there is no nats CLI; building $CLI"
	GOBIN=$dir/bin GOFLAGS='' go install "$CLI" 2>"$dir/install.log" || need nats "go install $CLI"
fi
start_cluster --kv-mirror --nats-service
export NATS_URL=$nats_url HOME=$dir

state_is() { [[ $(nats kv get ROLLCALL_default_nodes "$1" --raw | grep -o '"state":"[a-z]*"') == "\"state\":\"$2\"" ]]; }
for id in n1 n2 n3; do until_true "$id is alive in the mirror" state_is "$id" alive; done
[[ $(nats kv ls ROLLCALL_default_nodes | grep -cE '^n[123]$') == 3 ]]

nats stream get ROLLCALL_default 1 | grep '"type":"rollcall.node.joined.v1"' >/dev/null
nats stream info ROLLCALL_default --json | grep '"deny_purge": *true' >/dev/null
if nats stream purge ROLLCALL_default --force >"$dir/try" 2>&1 || nats stream rmm ROLLCALL_default 1 --force >>"$dir/try" 2>&1; then
	echo "$0: the log lets somebody remove events" >&2
	exit 1
fi

found() { nats micro list | grep rollcall-default >/dev/null; }
until_true "the service is found" found
nats micro info rollcall-default | grep svc.rollcall.default.pick >/dev/null
nats micro stats rollcall-default | grep nodes >/dev/null
nats req svc.rollcall.default.services '{"tag":"role=web"}' --raw | grep '"id":"n2"' >/dev/null
nats req svc.rollcall.default.pick '{"tag":"role=web","key":"order-1"}' --raw | grep '"strategy":"rendezvous"' >/dev/null
nats req svc.rollcall.default.pick '{"tag":"role=none"}' --raw | grep 'urn:rollcall:problem:no-match' >/dev/null

kill -9 "$n3"
until_true "n3 is failed in the mirror" state_is n3 failed
echo "nats: the mirror, the stream and the service are read, and nothing can be removed: ok"
