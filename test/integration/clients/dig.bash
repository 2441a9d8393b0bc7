#!/usr/bin/env bash
# dig finds a service through `projector run --dns`: SRV and A, over UDP and TCP, and a member that is killed is found no more.
# Needs: Go, and dig (Debian: bind9-dnsutils). Loopback only.
source "$(dirname "$0")/cluster.bash"
need dig "apt-get install bind9-dnsutils"
start_cluster --dns 127.0.0.1:0
dns=$(said projector "answering DNS" dns)

# ask NAME TYPE FLAGS...: what dig prints, without the rest.
ask() { dig "@${dns%:*}" -p "${dns##*:}" +time=2 +tries=2 +short "${@:3}" "$1" "$2"; }
count() { [[ $(ask "$1" "$2" "${@:4}" | grep -c .) == "$3" ]]; }
refers() { ask _web._role.default.rollcall SRV | grep -E "^1 1 [0-9]+ $1\.node\.default\.rollcall\.\$" >/dev/null; }

for transport in +notcp +tcp; do
	until_true "three SRV records $transport" count _web._role.default.rollcall SRV 3 $transport
	until_true "the address of n1 $transport" count n1.node.default.rollcall A 1 $transport
done
for id in n1 n2 n3; do until_true "an SRV record of $id" refers "$id"; done
[[ $(ask n1.node.default.rollcall A) == 127.0.0.1 ]]
dig "@${dns%:*}" -p "${dns##*:}" nobody.node.default.rollcall A | grep 'status: NXDOMAIN' >/dev/null
dig "@${dns%:*}" -p "${dns##*:}" _web._role.default.rollcall SRV | grep ';; ADDITIONAL SECTION:' >/dev/null
kill -9 "$n3"
until_true "two SRV records once n3 is killed" count _web._role.default.rollcall SRV 2
dig "@${dns%:*}" -p "${dns##*:}" n3.node.default.rollcall A | grep 'status: NXDOMAIN' >/dev/null
echo "dig: a service is found over UDP and TCP, and who is gone is not: ok"
