#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Events and figures to a Kafka cluster: what it gets, and what its death costs.

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
[ -x "$BUILD/tests/tools/weir-kafka" ] || { echo "1..0 # SKIP built without librdkafka"; exit 0; }
begin

config() { # [STREAM]
	config_head front=front back=back
	cat <<-END
	services:
	  - name: web
	    address: 198.51.100.10
	    port: 80
	    protocol: tcp
	    mode: nat
	    source-addresses: [10.2.0.100]
	    objective: {p99: 2s}
	    health: {type: tcp, interval: ${2:-1s}}
	    backends:
	      - {address: 10.2.0.11, port: 8080}
	      - {address: 10.2.0.12, port: 8080}
	metrics: {listen: "127.0.0.1:9464"}
	${1:+stream: $1}
	END
}

broker_is() { # PATTERN: the newest answer of the cluster's program
	grep -q "$1" "$WORLD/kafka"
}

# got KEY JQ: a message with this key for which this is true
got() {
	sed -n "s/^$1 {/{/p" "$WORLD/kafka" | jq -es "any(.[]; $2)" >/dev/null
}

stream_is() { # JQ: of status' entry
	ctl --json status | jq -e ".stream | $1" >/dev/null
}

require topology_two_armed
require nginx_start b1 10.2.0.11:8080
require nginx_start b2 10.2.0.12:8080
config >"$WORLD/default.yaml"
require weir_start
require wait_for 20 backends_up 2
start_at weir "$BUILD/tests/tools/weir-kafka" weir-events >"$WORLD/kafka" &
kafka=$!
require wait_for 20 broker_is '^broker '
broker=$(sed -n 's/^broker //p' "$WORLD/kafka")
config "{brokers: [\"$broker\"], queue: 100}" >"$WORLD/stream.yaml"

in_order() {
	sed -n 's/^web {/{/p' "$WORLD/kafka" | jq -es '[.[].sequence | numbers] | length > 90 and . == sort' >/dev/null
}

begins() {
	expect stream_is '. == null'
	expect ctl config apply "$WORLD/stream.yaml"
	expect_within 20 got web '.type == "summary" and .instance == "default" and .packets_received >= 0'
	expect fetch http://198.51.100.10/ -o "$WORLD/page"
	expect ctl backend drain web 10.2.0.12:8080
	expect_within 20 got web '.type == "event" and .kind == "backend" and .object == "web 10.2.0.12:8080"
		and .inputs.drained and .inputs.by.user == "root"'
	expect_within 20 got web '.type == "summary" and .packets_received > 0'
	expect_within 20 stream_is '.sent > 0 and .lost == 0 and .error == ""'
}

broker_dies() {
	kill -USR1 "$kafka"
	expect_within 10 broker_is '^down'
	for ((i = 0; i < 60; i++)); do
		expect ctl backend enable web 10.2.0.12:8080 >/dev/null
		expect ctl backend drain web 10.2.0.12:8080 >/dev/null
	done
	expect stream_is '.lost > 0 and .queued == 100'
	expect fetch http://198.51.100.10/ -o "$WORLD/page"
	expect_eq "queued" "$(at weir curl -sS http://127.0.0.1:9464/metrics |
		sed -n 's/^weir_stream_queued{.*} //p')" 100
}

broker_is_back() {
	kill -USR2 "$kafka"
	expect_within 30 stream_is '.queued < 10 and .error == ""'
	expect ctl backend enable web 10.2.0.12:8080
	expect_within 20 got web '.kind == "backend" and .sequence == '"$(ctl --json events |
		jq 'map(select(.kind == "backend"))[-1].sequence')"
	expect_within 10 in_order
}

# The wire of b2 is cut, and its check would need minutes to notice: it is adaptation that finds out.
decisions_are_told() {
	config "{brokers: [\"$broker\"], queue: 100}" 60s >"$WORLD/slowly.yaml"
	expect ctl config apply "$WORLD/slowly.yaml"
	load_start load -r 100 -c 50 -t 60 -T 1 -i 5 http://198.51.100.10/
	ip -n b2 link set eth0 down
	expect_within 20 got web '.type == "event" and .kind == "weight" and .object == "web 10.2.0.12:8080"
		and .inputs.controller == "weights" and .inputs.action == "eject"'
	load_stop load
	ip -n b2 link set eth0 up
	expect ctl config apply "$WORLD/stream.yaml"
}

pipes_of() { # PID
	find "/proc/$1/fd" -lname 'pipe:*' ! -name '[012]' -printf '%l\n' | sort
}

dataplane_again() {
	local before
	before=$(dataplane_pid)
	kill -KILL "$before"
	expect_within 20 test_new_dataplane "$before"
	expect_eq "pipes in common" "$(comm -12 <(pipes_of "${weir_pid[default]}") <(pipes_of "$(dataplane_pid)"))" ""
	expect_within 20 got default '.kind == "dataplane" and .text == "started"'
}

test_new_dataplane() { # PID
	backends_up 2 && [ "$(dataplane_pid)" != "$1" ]
}

ends() {
	expect ctl config apply "$WORLD/default.yaml"
	expect stream_is '. == null'
	expect_eq "metrics" "$(at weir curl -sS http://127.0.0.1:9464/metrics | grep -c ^weir_stream)" 0
}

scenario "a cluster is told of events and, each second, of figures" begins
scenario "a broker that dies costs messages only, and they are counted" broker_dies
scenario "when it is back, it gets what waited, in order" broker_is_back
scenario "a decision of adaptation is told" decisions_are_told
scenario "a data plane that is started again inherits nothing of it" dataplane_again
scenario "without a stream nothing is sent" ends
finish
