#!/usr/bin/env bash
# Prometheus discovers the members through /sd/prometheus, over TLS and with a token, and scrapes each; a member that is killed is a
# target no more; and while the projector is away the targets stay. Every expression of the dashboard has an answer.
# Needs: Go, curl, jq, and prometheus (Debian: prometheus). Loopback only.
source "$(dirname "$0")/cluster.bash"
need prometheus "apt-get install --no-install-recommends prometheus"
need curl "apt-get install curl"
need jq "apt-get install jq"
start_cluster
cat >"$dir/prometheus.yml" <<YAML
global: {scrape_interval: 1s}
scrape_configs:
  - job_name: rollcall
    http_sd_configs:
      - url: $api/sd/prometheus?tag=metrics
        refresh_interval: 1s
        authorization: {type: Bearer, credentials_file: $token} # Debian 12's sends no scheme without type
        tls_config: {ca_file: $ca}
    relabel_configs:
      - {source_labels: [__meta_rollcall_id], target_label: node}
      - {source_labels: [__meta_rollcall_tag_role], target_label: role}
  - job_name: rollcall-projector
    scheme: https
    authorization: {type: Bearer, credentials_file: $token}
    tls_config: {ca_file: $ca}
    static_configs:
      - targets: ["${api#https://}"]
YAML
promtool check config "$dir/prometheus.yml" >/dev/null
listen=127.0.0.1:$((20000 + RANDOM % 20000))
run prometheus prometheus --config.file="$dir/prometheus.yml" --storage.tsdb.path="$dir/tsdb" --web.listen-address="$listen"

# targets: the nodes that are scraped well, with their roles.
targets() {
	curl -sf -m 5 "http://$listen/api/v1/targets?state=active" |
		jq -r '.data.activeTargets[] | select(.health == "up" and .labels.node) | .labels.node + "=" + .labels.role' | sort | paste -sd' '
}
are() { [[ $(targets) == "$1" ]]; }
# failed_refreshes: how often Prometheus asked and got an error.
failed_refreshes() { curl -sf -m 5 "http://$listen/metrics" | awk '/^prometheus_sd_http_failures_total|^prometheus_sd_refresh_failures_total.*http/ {n += $2} END {print n + 0}'; }
refreshes_fail() { (($(failed_refreshes) > $1)); }

# shown: the expressions of the dashboard, for all jobs and nodes, each have an answer; the first that has none is said.
shown() {
	local expression
	for expression in "${expressions[@]}"; do
		curl -sf -m 5 "http://$listen/api/v1/query" --data-urlencode "query=$expression" |
			jq -e '.data.result | length > 0' >/dev/null || {
			echo "no answer: $expression"
			return 1
		}
	done
}
mapfile -t expressions < <(jq -r '.panels[].targets[]?.expr' infra/grafana/rollcall.json | sed 's/\$__rate_interval/5s/g; s/\$[a-z]*/.*/g')
((${#expressions[@]} > 20)) || {
	echo "$0: the dashboard has ${#expressions[@]} expressions" >&2
	exit 1
}

until_true "three targets that answer" are "n1=web n2=web n3=web"
until_true "every expression of the dashboard has an answer" shown
kill -9 "$n3"
until_true "n3 is no target once it is killed" are "n1=web n2=web"
before=$(failed_refreshes)
kill -9 "$projector"
until_true "Prometheus notices that the projector is away" refreshes_fail $((before + 2))
are "n1=web n2=web" || {
	echo "$0: without a projector the targets are $(targets)" >&2
	exit 1
}
echo "prometheus: members are discovered and scraped, and stay targets while the projector is away; the dashboard has its figures: ok"
