#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# A rise that the forecast foresees shortens the slow start of a backend that comes back. How much that helps is
# for the scenarios to judge (make scenarios SCENARIO=ramp-back).

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
begin

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
	    objective: {p99: 2s}
	    adapt: {weights: off, shed: off, sources: off}
	    health: {type: tcp, interval: 1s, slow-start: 30m}
	    backends:
	      - {address: 10.2.0.11, port: 8080}
	      - {address: 10.2.0.12, port: 8080}
	      - {address: 10.2.0.13, port: 8080}
	END
}

# Steady for twenty seconds, so that the forecast has learned it, then six times as much within twenty.
crowd_start() {
	start_at client "$BUILD/tests/tools/weir-crowd" -e -c all,10.1.0.2,1 -r all,0,60 -r all,20,360,20 -t 60 \
		198.51.100.10:80 >"$WORLD/crowd" 2>&1 &
}

require topology_two_armed
for n in 1 2 3; do
	start_at "b$n" "$BUILD/tests/tools/weir-origin" -c 64 -m 0.002 -g 0 "10.2.0.1$n:8080" >"$WORLD/origin$n" &
done
config >"$WORLD/default.yaml"
require weir_start
require wait_for 20 backends_up 3

weight_is() { # JQ-CONDITION: of the weight in force of the one that was away
	backend_field web 10.2.0.13 .weight_in_force | jq -e "$1"
}

headroom() { # JQ-CONDITION
	ctl --json adapt status web | jq -e ".[0].headroom | $1"
}

slow_without_a_rise() {
	expect ctl backend drain web 10.2.0.13:8080
	crowd_start
	expect_within 20 headroom '. == 1'
	expect ctl backend enable web 10.2.0.13:8080
	expect_within 5 weight_is '. == 10'
	sleep 3
	expect weight_is '. == 10'
}

whole_with_a_rise() {
	expect_within 40 headroom '. > 1'
	expect_within 20 weight_is '. >= 60'
	ctl --json explain web | tee "$WORLD/explained"
	expect jq -e 'any(.[]; .controller == "forecast" and .action == "lift" and .object == "10.2.0.13:8080"
		and .from == 10 and .to == 100 and .inputs.headroom > 1)' "$WORLD/explained"
	expect_eq "lifts" "$(jq '[.[] | select(.action == "lift")] | length' "$WORLD/explained")" 1
}

slow_again_when_off() {
	expect ctl adapt set web forecast off
	expect_within 10 weight_is '. == 10'
}

scenario "a backend that comes back has a tenth of its weight, and no rise is expected" slow_without_a_rise
scenario "when one is, its slow start of half an hour is over in ten seconds, and it is said why" whole_with_a_rise
scenario "with the forecast switched off it starts as slowly as was configured" slow_again_when_off
finish
