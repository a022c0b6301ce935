#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# A region of two thousand sources floods a service; none of them stands out, their class does. Judged by what the
# clients of the other region got.

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
begin

SHIPPED=$BUILD/ebpf/policies

config() {
	config_head front=front back=back
	cat <<-END
	services:
	  - name: web
	    address: 198.51.100.10
	    port: 80
	    protocol: tcp
	    mode: nat
	    source-addresses: [10.2.0.100]
	    objective: {p99: 200ms}
	    policy: {object: $SHIPPED/region_classes.o}
	    classes: [{name: north}, {name: south, connections: 100k}]
	    health: {type: none}
	    backends:
	      - {address: 10.2.0.11, port: 8080}
	      - {address: 10.2.0.12, port: 8080}
	metrics: {listen: "127.0.0.1:9464"}
	END
}

# Both can answer a hundred requests a second.
origin_start() { # NUMBER
	start_at "b$1" "$BUILD/tests/tools/weir-origin" -c 2 -m 0.02 "10.2.0.1$1:8080" >"$WORLD/origin$1" &
}

require topology_two_armed
require ip -n client route add local 10.9.0.0/20 dev lo
require ip -n weir route add 10.9.0.0/20 via 10.1.0.2
for n in 1 2; do
	require origin_start $n
done
config >"$WORLD/default.yaml"
require weir_start
require wait_for 20 backends_up 2
require ctl policy map set web classes 10.1.0.0/24 1
require ctl policy map set web classes 10.9.0.0/20 2

explained() { # JQ: a decision of which this is true
	ctl --json explain web --last 256 | jq -e "any(.[]; $1)"
}

class_field() { # NAME FIELD
	ctl --json limit show web | jq ".classes[] | select(.name == \"$1\") | $2"
}

is_held() {
	class_field south .connections_in_force | jq -e '. < 1000'
}

is_let_go() {
	class_field south .connections_in_force | jq -e '. == 100000'
}

answered() { # CLASS FROM TO: thousandths of its requests of these seconds that were
	awk -v c="$1" -v a="$2" -v b="$3" '$2 == c && $1 >= a * 1e6 && $1 < b * 1e6 { n++; good += $4 == "ok" }
		END { print n ? int(1000 * good / n) : 0 }' "$WORLD/records"
}

region_floods() {
	local crowd
	start_at client "$BUILD/tests/tools/weir-crowd" -c north,10.1.0.2,5 -c south,10.9.0.1,2000 -r north,0,40 \
		-r south,0,40 -r south,15,800 -t 35 -R "$WORLD/records" 198.51.100.10:80 >"$WORLD/crowd" &
	crowd=$!
	expect_within 30 is_held
	expect explained '.action == "class" and .object == "south" and .inputs.class == "south" and
		.inputs.demand > 2 * .inputs.habit and .mode == "on"'
	ctl explain web --last 64 | tee "$WORLD/explained"
	expect grep -q 'sources  *south class to [0-9.]*: asks for [0-9]* new flows per second, usually for' "$WORLD/explained"
	ctl limit show web
	expect_eq "for people" "$(ctl limit show web | grep -c 'new flows of class south')" 1
	expect_number "of metrics" "$(at weir curl -sS http://127.0.0.1:9464/metrics |
		sed -n 's/^weir_class_new_flows_limit{.*class="south".*} //p')" -lt 1000
	expect_eq "the other one" "$(class_field north .connections_in_force)" null
	wait $crowd
	tail -n 1 "$WORLD/crowd"
}

machine_stood() {
	tail -n 1 "$WORLD/crowd" | jq -e '.late_p99_ms > 50'
}

one_region_floods() {
	expect_eq "without traffic" "$(class_field south .connections_in_force) $(class_field north .connections_in_force)" \
		"100000 null"
	region_floods
	if machine_stood; then
		echo "the clients themselves were late: once more"
		expect_within 40 is_let_go
		region_floods
	fi
	expect_number "north in calm weather, of 1000" "$(answered north 5 15)" -ge 980
	# Without classes it would get what all get: a fourth.
	expect_number "north in the flood, of 1000" "$(answered north 20 35)" -ge 800
	expect_number "south in the flood, of 1000" "$(answered south 20 35)" -lt 400
	expect_number "refused in its class" "$(class_field south .dropped.connections)" -gt 1000
	expect_eq "refused in the other" "$(class_field north .dropped.connections)" 0
	expect_eq "classes that were held back" \
		"$(ctl --json explain web --last 256 | jq -c '[.[] | select(.action == "class").object] | unique')" '["south"]'
}

let_go() {
	expect_within 40 is_let_go
	expect explained '.action == "class-end" and .object == "south"'
	expect_within 20 sums_balance
}

scenario "a region floods: it alone is held back, and it is said why" one_region_floods
scenario "and let go when it is over" let_go
finish
