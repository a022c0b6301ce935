#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# What Weir tells of itself: Prometheus' metrics, and the commands of weirctl against the running daemon.

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
begin
HERE=$(cd "$(dirname "$0")" && pwd)

config() {
	config_head front=front back=back
	cat <<-'END'
	services:
	  - name: web
	    address: 198.51.100.10
	    port: 80
	    protocol: tcp
	    mode: nat
	    source-addresses: [10.2.0.100]
	    health: {type: http, path: /healthz, interval: 200ms, timeout: 150ms}
	    policy: {object: block_list.o, budget: 1000000000}
	    backends:
	      - {address: 10.2.0.11, port: 8080}
	      - {address: 10.2.0.12, port: 8080}
	metrics: {listen: "127.0.0.1:9464"}
	END
}

URL=http://198.51.100.10

require topology_two_armed
require nginx_start b1 10.2.0.11:8080
require nginx_start b2 10.2.0.12:8080
cp "$BUILD/ebpf/policies/block_list.o" "$WORLD"
config >"$WORLD/default.yaml"
require weir_start
require wait_for 10 backends_up 2
load_start first -c 8 -n 2000 $URL/
load_wait first
# A drop by the policy, of which there are figures as well.
require ctl policy map set web blocked 10.1.0.3 7
at client curl -sS -o /dev/null --max-time 1 --interface 10.1.0.3 $URL/ 2>/dev/null &&
	echo "the blocked client was served" >&2

metrics() {
	at weir curl -sS --fail --max-time 5 http://127.0.0.1:9464/metrics
}

metrics_are_wellformed() {
	metrics >"$WORLD/metrics"
	expect test "$(wc -l <"$WORLD/metrics")" -gt 20
	# Every line is a comment or a sample, and every sample has a type before it.
	expect awk '
		/^# (HELP|TYPE) [a-z_:]+ ./ { if ($2 == "TYPE") type[$3] = $4; next }
		/^#/ { next }
		/^[a-z_:]+(\{[^}]*\})? [-+0-9.eEinfNa]+$/ {
			name = $1; sub(/\{.*/, "", name)
			base = name; sub(/_(bucket|sum|count)$/, "", base)
			if (!(name in type) && !(base in type)) { print "no type: " $0; bad = 1 }
			next
		}
		{ print "bad line: " $0; bad = 1 }
		END { exit bad }' "$WORLD/metrics"
	# Also its advice counts: nothing is to be said.
	expect promtool check metrics <"$WORLD/metrics" >"$WORLD/promtool" 2>&1
	expect_not test -s "$WORLD/promtool"
}

prometheus_query() { # EXPRESSION: the value of its only result
	at weir curl -sS --fail --max-time 5 -G --data-urlencode "query=$1" \
		http://127.0.0.1:9090/api/v1/query | jq -r '.data.result[0].value[1] // empty'
}

prometheus_has() { # EXPRESSION VALUE
	[ "$(prometheus_query "$1")" = "$2" ]
}

prometheus_answers() { # EXPRESSION: with anything at all
	at weir curl -sS --fail --max-time 5 -G --data-urlencode "query=$1" \
		-o "$WORLD/answer" http://127.0.0.1:9090/api/v1/query &&
		[ "$(jq -r '.data.result | length' "$WORLD/answer")" -gt 0 ]
}

# The real server scrapes Weir and answers from what it has stored.
prometheus_scrapes() {
	cat >"$WORLD/prometheus.yaml" <<-'END'
	global: {scrape_interval: 500ms, scrape_timeout: 500ms}
	scrape_configs:
	  - job_name: weir
	    static_configs: [{targets: ["127.0.0.1:9464"]}]
	END
	expect promtool check config "$WORLD/prometheus.yaml"
	start_at weir prometheus --config.file="$WORLD/prometheus.yaml" \
		--storage.tsdb.path="$WORLD/prometheus" --web.listen-address=127.0.0.1:9090 \
		--log.level=warn >"$WORLD/prometheus.log" 2>&1 &
	local server=$!
	expect_within 30 prometheus_has 'up{job="weir"}' 1
	# No traffic now, so what it stored last is what weirctl says.
	expect_within 10 prometheus_has 'weir_service_packets_received_total{service="web"}' \
		"$(service_field web .packets_received)"
	expect_within 5 prometheus_has 'sum(weir_service_new_flows_total{service="web"})' \
		"$(service_field web .new_flows)"
	# Every expression of the dashboard is one that the server answers.
	jq -r '.panels[].targets[]?.expr' "$TOP/config/dashboards/weir.json" |
		sed 's/\$__rate_interval/1m/g; s/\$instance/.*/g; s/\$service/.*/g' >"$WORLD/expressions"
	expect test "$(wc -l <"$WORLD/expressions")" -gt 5
	local expression
	# A rate needs two scrapes.
	while read -r expression; do
		expect_within 10 prometheus_answers "$expression"
	done <"$WORLD/expressions"
	stop_pid $server
}

metrics_agree() {
	local received
	metrics >"$WORLD/metrics"
	received=$(service_field web .packets_received)
	grep -E '^weir_service_packets_received' "$WORLD/metrics"
	expect_eq "packets received" "$(awk '/^weir_service_packets_received[^{]*\{[^}]*service="web"/ {
		printf "%.0f", $NF }' "$WORLD/metrics")" "$received"
}

other_paths_are_not_found() {
	expect_eq "status" "$(at weir curl -s -o /dev/null -w '%{http_code}' \
		http://127.0.0.1:9464/nothing)" 404
	# Garbage and silence must not hurt.
	at weir bash -c 'exec 3<>/dev/tcp/127.0.0.1/9464; head -c 100000 /dev/urandom >&3' 2>/dev/null
	expect metrics
}

figures_are_right() {
	expect_number "connect p50" "$(backend_field web 10.2.0.11 .connect.p50)" -lt 0.5
	expect_number "connect p50" "$(backend_field web 10.2.0.11 .connect.p50)" -gt 0
	expect_number "first byte p99" "$(backend_field web 10.2.0.11 .first_byte.p99)" -gt 0
	expect_number "residence p50" "$(service_field web .residence.p50)" -gt 0
	expect_number "residence p50" "$(service_field web .residence.p50)" -lt 0.1
	expect_eq "new flows" "$(service_field web .new_flows)" 2000
	expect_eq "new flows of the backends" \
		"$(ctl --json backend list web | jq 'map(.new_flows) | add')" 2000
}

flows_are_found() {
	local client
	load_start flow -c 1 -k 0 -w 0.05 -t 20 -i 0.1 -s 10.1.0.5 $URL/
	expect wait_for 3 load_is_flowing flow 3
	ctl --json flow list web --limit 65536 >"$WORLD/flows.json"
	jq -c '.[0]' "$WORLD/flows.json"
	client=$(jq -r '.[] | select(.client | startswith("10.1.0.5:")) | .client' "$WORLD/flows.json" |
		head -n 1)
	expect test -n "$client"
	ctl --json flow find tcp "$client" 198.51.100.10:80 >"$WORLD/flow.json"
	cat "$WORLD/flow.json"
	expect_eq "existing" "$(jq .existing "$WORLD/flow.json")" true
	expect_eq "source" "$(jq -r '.source | split(":")[0]' "$WORLD/flow.json")" 10.2.0.100
	ctl --json flow find tcp 10.9.9.9:1234 198.51.100.10:80 >"$WORLD/flow.json"
	expect_eq "existing" "$(jq .existing "$WORLD/flow.json")" false
	load_stop flow
	expect_no_failures flow
}

every_listing_prints() {
	local command
	for command in status "service list" "service show web" "backend list" "backend list web" \
		"flow list web" "port list" "port show front" "core list" "config show" \
		"limit show web"; do
		# shellcheck disable=SC2086
		expect ctl $command >"$WORLD/out"
		expect test -s "$WORLD/out"
		# shellcheck disable=SC2086
		ctl --json $command >"$WORLD/out"
		expect jq -e . "$WORLD/out" >/dev/null
	done
}

documents_are_as_told() {
	fields "service list, service show" . service show web
	fields "backend list" . backend list web
	fields "port list, port show" . port show front
	fields "core list, core show" . core list
	fields status . status
	fields "policy list, policy show, policy load, policy unload" .policies policy show web
	fields events . events
	fields config . config history
	fields doctor .findings doctor
	fields "policy check, policy run" . policy check "$WORLD/block_list.o"
}

fields() { # SECTION PLACE COMMAND...: of what is at a place in what the command prints
	ctl --json "${@:3}" | jq "$2" >"$WORLD/document"
	expect "$HERE/documents.py" "$1" <"$WORLD/document"
}

exit_is() { # STATUS COMMAND...
	local expected=$1 status=0
	shift
	ctl "$@" >"$WORLD/out" 2>&1 || status=$?
	expect_eq "exit status of $*" $status "$expected"
}

exit_statuses() {
	exit_is 0 status
	exit_is 1 service show nothing
	exit_is 1 backend drain web 10.9.9.9:80
	exit_is 1 policy show nothing
	exit_is 2 no such command
	exit_is 2 service show
	exit_is 3 --instance nobody status
}

socket_survives_garbage() {
	head -c 100000 /dev/urandom | timeout 2 python3 -c '
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
try:
    s.sendall(sys.stdin.buffer.read())
except OSError:
    pass' "$RUN/default/control.sock"
	expect ctl status
}

answers_under_load() {
	local n start
	load_start busy -c 32 -k 0 -t 20 $URL/
	for n in {1..10}; do
		start=$(milliseconds)
		expect ctl --json status
		expect_number "milliseconds for an answer" $(($(milliseconds) - start)) -lt 1000
	done
	load_stop busy
	expect_no_failures busy
}

scenario "metrics are well formed" metrics_are_wellformed
scenario "metrics and weirctl agree" metrics_agree
scenario "another path is not found, and garbage does no harm" other_paths_are_not_found
scenario "latencies and flows of 2000 connections are right" figures_are_right
scenario "a flow is listed and found, and one that is not there is foretold" flows_are_found
scenario "every command prints a table and a JSON document" every_listing_prints
scenario "documents have the fields that their page names, and no others" documents_are_as_told
scenario "exit statuses are as documented" exit_statuses
scenario "garbage on the control socket does no harm" socket_survives_garbage
scenario "weirctl answers under load" answers_under_load
scenario "Prometheus scrapes Weir, and answers what weirctl and the dashboard ask" prometheus_scrapes
scenario "all packets are accounted for" expect_balance
finish
