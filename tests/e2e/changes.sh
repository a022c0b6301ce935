#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# What an operator changes, and what breaks, while clients are there.

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
begin

# config BACKEND=WEIGHT...: one service with these backends; EXTRA is added behind.
config() {
	local backend
	config_head front=front back=back
	cat <<-'END'
	services:
	  - name: web
	    address: 198.51.100.10
	    port: 80
	    protocol: tcp
	    mode: nat
	    source-addresses: [10.2.0.100]
	    health: {type: http, path: /healthz, interval: 200ms, timeout: 150ms, rise: 1, fall: 2}
	END
	if [ $# -gt 0 ]; then
		echo "    backends:"
	else
		echo "    backends: []"
	fi
	for backend in "$@"; do
		echo "      - {address: 10.2.0.1${backend%=*}, port: 8080, weight: ${backend#*=}}"
	done
	printf '%s' "${EXTRA:-}"
}

apply() { # BACKEND=WEIGHT...
	config "$@" >"$WORLD/new.yaml"
	ctl config apply "$WORLD/new.yaml"
}

URL=http://198.51.100.10

require topology_two_armed
for n in 1 2 3; do
	require nginx_start "b$n" "10.2.0.1$n:8080"
done
config 1=100 2=100 3=100 >"$WORLD/default.yaml"
require weir_start
require wait_for 10 backends_up 3

new_flows() { # ADDRESS
	backend_field web "$1" .new_flows
}

drain_and_enable() {
	local flows
	# Some connections live long and must stay, others are short.
	load_start long -c 8 -k 0 -w 0.02 -t 6 -i 0.1 $URL/
	load_start short -c 300 -r 300 -t 4 -i 0.1 $URL/
	expect wait_for 3 load_is_flowing short 100
	expect ctl backend drain web 10.2.0.12:8080
	expect_within 2 backend_state_is web 10.2.0.12:8080 draining
	flows=$(new_flows 10.2.0.12)
	load_wait short
	expect_no_failures short
	expect_eq "new flows of the drained backend" "$(new_flows 10.2.0.12)" "$flows"
	expect_number "answers of the others" "$(load_field short .ok)" -gt 900
	load_stop long
	expect_no_failures long
	expect ctl backend enable web 10.2.0.12:8080
	expect_within 2 backend_state_is web 10.2.0.12:8080 up
	load_start enabled -c 8 -n 300 $URL/
	load_wait enabled
	expect_no_failures enabled
	expect_number "answers after it is enabled" "$(load_field enabled '.backends.b2.ok // 0')" -gt 50
}

killed_backend() {
	load_start killed -c 300 -r 200 -t 3 -i 0.1 $URL/
	expect wait_for 3 load_is_flowing killed 100
	nginx_kill b3
	expect_within 2 backend_state_is web 10.2.0.13:8080 down
	load_start detected -c 8 -n 500 $URL/
	load_wait detected
	expect_no_failures detected
	load_wait killed
	# 200 ms between checks, two of them, a third of 200 requests a second.
	expect_number "failures until it was detected" "$(load_field killed .failed)" -lt 60
	nginx_start b3 10.2.0.13:8080
	expect_within 2 backend_state_is web 10.2.0.13:8080 up
}

# The whole machine is gone: nobody answers at all, not even its kernel.
lost_machine() {
	ip -n b1 link set eth0 down
	expect_within 3 backend_state_is web 10.2.0.11:8080 down
	load_start lost -c 8 -n 500 $URL/
	load_wait lost
	expect_no_failures lost
	ip -n b1 link set eth0 up
	addr_add b1 eth0 fd02::11/64 2>/dev/null
	expect_within 3 backend_state_is web 10.2.0.11:8080 up
}

weights_share() {
	expect apply 1=200 2=100 3=0
	load_start weights -c 16 -n 3000 $URL/
	load_wait weights
	expect_no_failures weights
	expect_number "b1 of 3000" "$(load_field weights '.backends.b1.ok')" -gt 1800
	expect_number "b1 of 3000" "$(load_field weights '.backends.b1.ok')" -lt 2200
	expect_eq "b3, which has no weight" "$(load_field weights '.backends.b3.ok // 0')" 0
	expect apply 1=100 2=100 3=100
}

more_drops_than() { # COUNT
	[ "$(drops_of web no_backend)" -gt "$1" ]
}

last_backend() {
	local before
	expect apply 1=100
	expect_eq "answer of the only one" "$(fetch -D - -o /dev/null $URL/ | tr -d '\r' |
		sed -n 's/^X-Backend: //p')" b1
	expect apply
	before=$(drops_of web no_backend)
	expect_not fetch --max-time 1 $URL/
	expect_within 3 more_drops_than "$before"
	expect apply 1=100 2=100 3=100
	expect_within 3 backends_up 3
	load_start back -c 8 -n 300 $URL/
	load_wait back
	expect_no_failures back
}

# Twice, as what a closed port leaves behind would be found by the next but one.
port_comes_back() {
	local n
	for n in 1 2; do
		config 1=100 2=100 3=100 | grep -v "device: back" >"$WORLD/new.yaml"
		expect ctl config apply "$WORLD/new.yaml"
		expect_eq "ports" "$(ctl --json port list | jq -r 'map(.name) | join(" ")')" front
		expect_not fetch --max-time 0.5 $URL/
		expect apply 1=100 2=100 3=100
		expect_within 5 fetch --max-time 0.5 $URL/
	done
}

all_dead() {
	local n
	for n in 1 2 3; do
		nginx_kill "b$n"
	done
	expect_within 3 backends_up 0
	expect_not fetch --max-time 1 $URL/
	for n in 1 2 3; do
		nginx_start "b$n" "10.2.0.1$n:8080"
	done
	expect_within 3 backends_up 3
	expect fetch $URL/
}

bad_config_changes_nothing() {
	local generation status=0
	generation=$(ctl --json status | jq .generation)
	ctl config show >"$WORLD/before"
	config 1=100 2=heavy >"$WORLD/bad.yaml"
	echo "nonsense: true" >>"$WORLD/bad.yaml"
	ctl config apply "$WORLD/bad.yaml" >"$WORLD/out" 2>&1 || status=$?
	cat "$WORLD/out"
	expect_eq "exit status" $status 1
	expect grep -qE "bad.yaml:16:[0-9]+: services\[0\]\.backends\[1\]\.weight: " "$WORLD/out"
	expect grep -qE "bad.yaml:17:1: nonsense: " "$WORLD/out"
	expect_eq "generation" "$(ctl --json status | jq .generation)" "$generation"
	ctl config show >"$WORLD/after"
	expect cmp "$WORLD/before" "$WORLD/after"
	status=0
	ctl config check "$WORLD/bad.yaml" >"$WORLD/out" 2>&1 || status=$?
	expect_eq "exit status of check" $status 1
	# An interface that is not there can only be found out by trying.
	config 1=100 | sed 's/device: back/device: nowhere/' >"$WORLD/bad.yaml"
	status=0
	ctl config apply "$WORLD/bad.yaml" >"$WORLD/out" 2>&1 || status=$?
	cat "$WORLD/out"
	expect_eq "exit status for a missing interface" $status 1
	expect_within 3 backends_up 3
	load_start still -c 8 -n 300 $URL/
	load_wait still
	expect_no_failures still
}

# Its counters go with it; on a busy machine a packet waits in vain for its backend's link address.
more_ends() {
	EXTRA=
	DROPPED_BEFORE=$((DROPPED_BEFORE + $(service_field more '.dropped | add // 0')))
}
DROPPED_BEFORE=0

apply_under_load() {
	local n
	load_start long -c 8 -k 0 -w 0.01 -t 20 -i 0.1 $URL/
	load_start short -c 400 -r 300 -t 20 -i 0.1 $URL/
	expect wait_for 3 load_is_flowing short 100
	for n in {1..5}; do
		expect apply 1=100 2=$((50 * n)) 3=100
		EXTRA=$'  - {name: more, address: 198.51.100.20, port: 80, protocol: tcp, mode: nat,
     source-addresses: [10.2.0.100], health: {type: none},
     backends: [{address: 10.2.0.12, port: 8080}]}\n'
		expect apply 1=100 2=100 3=$((50 * n))
		expect fetch http://198.51.100.20/
		more_ends
		expect apply 1=100 2=100 3=100
	done
	load_stop short
	load_stop long
	expect_no_failures short
	expect_no_failures long
}

diff_tells() {
	config 1=100 2=100 3=50 >"$WORLD/new.yaml"
	ctl config diff "$WORLD/new.yaml" >"$WORLD/out"
	cat "$WORLD/out"
	expect grep -q "weight" "$WORLD/out"
	config 1=100 2=100 3=100 >"$WORLD/new.yaml"
	expect_eq "difference to what runs" "$(ctl --json config diff "$WORLD/new.yaml" | jq -r .diff)" ""
}

removed_service_is_the_kernels() {
	EXTRA=$'  - {name: more, address: 198.51.100.20, port: 80, protocol: tcp, mode: nat,
     source-addresses: [10.2.0.100], health: {type: none},
     backends: [{address: 10.2.0.12, port: 8080}]}\n'
	expect apply 1=100 2=100 3=100
	expect fetch http://198.51.100.20/
	expect at client ping -q -c 1 -W 1 198.51.100.20
	more_ends
	expect apply 1=100 2=100 3=100
	expect_not at client ping -q -c 1 -W 1 198.51.100.20
	expect fetch $URL/
}

scenario "no client notices that a backend is drained, and it gets no new flows" drain_and_enable
scenario "a killed backend is noticed, and then no request fails" killed_backend
scenario "a lost machine is noticed, and then no request fails" lost_machine
scenario "backends get requests by their weight, and none with weight 0" weights_share
scenario "the last backend can be removed and put back" last_backend
scenario "a port can be taken out and put back while the others go on" port_comes_back
scenario "all backends can die and come back" all_dead
scenario "a configuration with errors changes nothing, and all errors are told" bad_config_changes_nothing
scenario "changing the configuration under load loses no request" apply_under_load
scenario "the difference between configurations is shown" diff_tells
scenario "an added service answers at once, a removed one is gone" removed_service_is_the_kernels
scenario "all packets are accounted for" expect_balance
finish
