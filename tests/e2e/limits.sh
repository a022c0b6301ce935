#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Limits on real traffic. Over several workers they are tested with made-up clocks (unit) and with
# captures (replay): here that would take three CPUs.

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
begin

UDP=$BUILD/tests/tools/weir-udp

config() { # LIMITS WORKERS
	config_head front=front back=back
	cat <<-END
	services:
	  - name: echo
	    address: 198.51.100.10
	    port: 9000
	    protocol: udp
	    mode: nat
	    cores: $2
	    source-addresses: [10.2.0.100]
	    limits: $1
	    health: {type: none}
	    backends:
	      - {address: 10.2.0.11, port: 9000}
	      - {address: 10.2.0.12, port: 9000}
	  - name: web
	    address: 198.51.100.10
	    port: 80
	    protocol: tcp
	    mode: nat
	    cores: $2
	    source-addresses: [10.2.0.100]
	    limits: $1
	    health: {type: none}
	    backends:
	      - {address: 10.2.0.11, port: 8080}
	END
}

apply() { # LIMITS [WORKERS]
	config "$1" "${2:-1}" >"$WORLD/new.yaml"
	ctl config apply "$WORLD/new.yaml"
}

require topology_two_armed
require nginx_start b1 10.2.0.11:8080
udp_start b1 10.2.0.11 9000
udp_start b2 10.2.0.12 9000
[ "$(nproc)" -lt 2 ] || CORES='[0, 1]'
config '{}' 1 >"$WORLD/default.yaml"
require weir_start
require wait_for 10 backends_up 3

# datagrams FLOWS BYTES: 2000 datagrams a second for 2 s; sets $received of $sent
datagrams() {
	at client "$UDP" send -f "$1" -n $((4000 / $1)) -r 2000 -s "$2" -w 0.3 198.51.100.10 9000 \
		>"$WORLD/udp.json"
	cat "$WORLD/udp.json"
	sent=$(jq .sent "$WORLD/udp.json")
	received=$(jq .received "$WORLD/udp.json")
}

no_limit() {
	datagrams 40 200
	expect_eq "received" "$received" "$sent"
}

# Of 4000 datagrams in 2 s, what 500 a second let through: 1000, and the burst of 10 ms.
packets_limit() { # FLOWS WORKERS
	local before
	expect apply '{packets: 500}' "$2"
	before=$(drops_of echo limit_packets)
	datagrams "$1" 200
	expect_number "received of 4000" "$received" -ge 960
	expect_number "received of 4000" "$received" -le 1030
	expect_eq "received and counted drops" \
		$((received + $(drops_of echo limit_packets) - before)) "$sent"
}

# 4 Mbit/s; a datagram of 1000 bytes is a frame of 1042, so 480 a second.
bits_limit() {
	expect apply '{bits: 4M}'
	datagrams 40 1000
	expect_number "received of 4000" "$received" -ge 900
	expect_number "received of 4000" "$received" -le 1030
	expect_number "drops" "$(drops_of echo limit_bits)" -gt 0
}

# Every connection beyond 50 a second is refused by silence; the client's kernel tries again after 1 s.
connections_limit() { # WORKERS
	local before after dropped
	expect apply '{connections: 50}' "$1"
	before=$(service_field web .new_flows)
	dropped=$(drops_of web limit_connections)
	load_start limited -c 2000 -r 200 -t 4 -T 0.9 http://198.51.100.10/
	load_wait limited
	after=$(service_field web .new_flows)
	expect_number "new flows in 4 to 5 s" $((after - before)) -ge 190
	expect_number "new flows in 4 to 5 s" $((after - before)) -le 260
	expect_number "drops" $(($(drops_of web limit_connections) - dropped)) -ge 400
}

zero_lets_nothing_pass() {
	expect apply '{packets: 0}' "$1"
	expect_not fetch --max-time 1 http://198.51.100.10/
	expect_number "drops" "$(drops_of web limit_packets)" -gt 0
	expect apply '{connections: 0}' "$1"
	expect_not fetch --max-time 1 http://198.51.100.10/
	expect apply '{}' "$1"
	expect fetch http://198.51.100.10/
}

limits_of_one_service() {
	expect apply '{packets: 100k}'
	expect_eq "limit shown" "$(ctl --json limit show echo | jq .packets.configured)" 100000
	expect_eq "limit not set" "$(ctl --json limit show echo | jq .connections)" null
}

scenario "without a limit every datagram comes back" no_limit
scenario "500 packets a second are 500" packets_limit 40 1
scenario "a limit of bits counts frames" bits_limit
scenario "50 new connections a second are 50" connections_limit 1
scenario "a limit of 0 lets nothing pass" zero_lets_nothing_pass 1
scenario "a limit is shown as it is configured" limits_of_one_service
scenario "all packets are accounted for" expect_balance
finish
