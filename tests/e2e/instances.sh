#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Two instances on one host: neither knows of the other.

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
begin

config() { # PORT=INTERFACE... then the service's address, source address and backend in $1 to $3
	local vip=$1 source=$2 backend=$3 metrics=$4
	shift 4
	config_head "$@"
	cat <<-END
	services:
	  - name: web
	    address: $vip
	    port: 80
	    protocol: tcp
	    mode: nat
	    source-addresses: [$source]
	    health: {type: http, path: /healthz, interval: 200ms, timeout: 150ms}
	    backends:
	      - {address: $backend, port: 8080}
	metrics: {listen: "127.0.0.1:$metrics"}
	END
}

require topology_two_armed
# The second one has a network of its own, with one arm.
switch_add lan2
ns_add client2
ns_add b4
plug_in weir front2 lan2
plug_in client2 eth0 lan2
plug_in b4 eth0 lan2
addr_add weir front2 10.3.0.1/24
addr_add client2 eth0 10.3.0.2/24
addr_add b4 eth0 10.3.0.11/24
require nginx_start b1 10.2.0.11:8080
require nginx_start b4 10.3.0.11:8080

export MEMORY=128M
config 198.51.100.10 10.2.0.100 10.2.0.11 9464 front=front back=back >"$WORLD/one.yaml"
config 10.3.0.100 10.3.0.101 10.3.0.11 9465 side=front2 >"$WORLD/two.yaml"
require weir_start one
require weir_start two

first_answers() {
	fetch --max-time 2 http://198.51.100.10/client
}

second_answers() {
	at client2 curl -sS --fail --max-time 2 http://10.3.0.100/client
}

both_answer() {
	expect_within 5 first_answers
	expect_within 5 second_answers
	expect_eq "client of the first" "$(first_answers)" 10.2.0.100
	expect_eq "client of the second" "$(second_answers)" 10.3.0.101
	expect_eq "ports of the first" "$(ctl --instance one --json port list | jq length)" 2
	expect_eq "ports of the second" "$(ctl --instance two --json port list | jq length)" 1
}

one_dies_other_serves() {
	load_start other -c 200 -r 200 -t 20 -i 0.1 http://198.51.100.10/
	expect wait_for 3 load_is_flowing other 50
	kill -KILL "$(dataplane_pid two)"
	expect_within 5 second_answers
	weir_stop two
	expect wait_for 5 load_is_flowing other 300
	load_stop other
	expect_no_failures other
	expect_not second_answers
	weir_start two
	expect_within 5 second_answers
}

scenario "both serve their own networks" both_answer
scenario "one can be killed and stopped without the other" one_dies_other_serves
scenario "all packets of the first are accounted for" expect_balance one
scenario "all packets of the second are accounted for" expect_balance two
finish
