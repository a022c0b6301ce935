#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# One core and several, idle modes, and interfaces with several queues.

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
begin

UDP=$BUILD/tests/tools/weir-udp
CPUS=$(nproc)
URL=http://198.51.100.10

config() { # WORKERS
	config_head front=front back=back
	cat <<-END
	services:
	  - name: web
	    address: 198.51.100.10
	    port: 80
	    protocol: tcp
	    mode: nat
	    cores: $1
	    source-addresses: [10.2.0.100]
	    health: {type: http, path: /healthz, interval: 200ms, timeout: 150ms}
	    backends:
	      - {address: 10.2.0.11, port: 8080}
	      - {address: 10.2.0.12, port: 8080}
	  - name: echo
	    address: 198.51.100.10
	    port: 9000
	    protocol: udp
	    mode: nat
	    source-addresses: [10.2.0.100]
	    health: {type: none}
	    backends:
	      - {address: 10.2.0.11, port: 9000}
	END
}

require topology_two_armed
# In place of the plain cables, ones with two queues.
ip -n weir link del back
ip -n weir link del front
link_add client eth0 weir front 2
link_add weir back lan to-weir 2
ip -n lan link set to-weir master switch
client_addresses
addr_add weir front 10.1.0.1/24 fd01::1/64
addr_add weir back 10.2.0.1/24 fd02::1/64
for n in 1 2; do
	require nginx_start "b$n" "10.2.0.1$n:8080"
	udp_start "b$n" "10.2.0.1$n" 9000
done

cpu_seconds() { # PID: user and system time of all its threads
	awk -v hz="$(getconf CLK_TCK)" '{ print ($14 + $15) / hz }' "/proc/$1/stat"
}

serves() { # CORES WORKERS IDLE
	local dataplane before after packet_cores
	CORES=$1 IDLE=$3
	config "$2" >"$WORLD/default.yaml"
	weir_start || return 1
	expect_within 5 backends_up 3
	# Backends remember translated ports of the case before (TIME_WAIT): that costs a SYN a retry.
	load_start load -c 16 -n 2000 -t 30 -T 8 $URL/
	load_wait load
	expect_no_failures load
	load_start keep -c 16 -n 5000 -k 0 -t 30 -T 8 $URL/
	load_wait keep
	expect_no_failures keep
	expect at client "$UDP" send -f 64 -n 20 -r 4000 198.51.100.10 9000
	ctl core list
	packet_cores=$(ctl --json core list | jq length)
	expect_eq "cores of the service" "$(service_field web '.cores | length')" "$2"
	dataplane=$(dataplane_pid)
	before=$(cpu_seconds "$dataplane")
	wait_for 1 false # nothing to wait for: a second without packets
	after=$(cpu_seconds "$dataplane")
	if [ "$3" = sleep ]; then
		expect_number "CPU seconds of each core in an idle second" \
			"$(awk "BEGIN { print ($after - $before) / $packet_cores }")" -lt 0.25
	else
		expect_number "CPU seconds in a spinning second" \
			"$(awk "BEGIN { print $after - $before }")" -gt 0.5
	fi
	expect_balance
	weir_stop
}

# gap_fits FROM TO: one of the longest gaps ended between these times, in seconds since 1970
gap_fits() {
	ctl --json core show 0 | jq -e --argjson from "$1" --argjson to "$2" '.gaps.longest[] |
		select(.length > 0.3 and .length < 1.5 and .time > $from and .time < $to)'
}

stopped_and_found_out() { # IDLE
	local from
	CORES='[0]' IDLE=$1
	config 1 >"$WORLD/default.yaml"
	weir_start || return 1
	expect_within 5 backends_up 3
	from=$(date +%s.%N)
	kill -STOP "$(dataplane_pid)"
	sleep 0.32
	kill -CONT "$(dataplane_pid)"
	expect_within 2 gap_fits "$from" "$(date -d '+1 second' +%s.%N)"
	ctl core show 0
	expect_number "longest gap of the minute" "$(ctl --json core list | jq '.[0].gaps.last_minute')" -ge 0.3
	expect_within 10 told_of_the_gap
	if [ "$1" = sleep ]; then
		expect_number "p50 of how late it wakes" "$(ctl --json core show 0 | jq '.wakeup.p50')" -lt 0.1
		expect_eq "the core was" "$(gap_fits "$from" "$(date +%s.%N)" | jq -r '.during' | head -1)" asleep
	else
		expect_eq "sleeps measured" "$(ctl --json core show 0 | jq '.wakeup.p50')" null
		expect_eq "the core was" "$(gap_fits "$from" "$(date +%s.%N)" | jq -r '.during' | head -1)" polling
	fi
	weir_stop
}

told_of_the_gap() {
	ctl --json events | jq -e '.[] | select(.object == "CPU 0" and .inputs.length > 0.3)'
}

scenario "a data plane that was stopped for 0.3 s while it slept says so" stopped_and_found_out sleep
scenario "and while it polled" stopped_and_found_out spin

# A move is refused, with this text.
refused() { # TEXT ARGUMENT...
	local text=$1
	shift
	expect_not ctl core move "$@"
	expect grep -q "$text" <(ctl core move "$@" 2>&1)
}

nowhere_to_go() {
	CORES='[0, 1]' IDLE=sleep
	config 1 >"$WORLD/default.yaml"
	weir_start || return 1
	expect_within 5 backends_up 3
	expect_eq "buckets" "$(service_field web '.buckets | tojson')" '{"1":256}'
	refused 'CPU 0 works for no service' web --all 1 0
	refused 'no service nobody' nobody --all 1 0
	refused 'numbers 0..255' web 1-300 1 0
	refused 'name two' web 7 1 1
	expect_eq "buckets" "$(service_field web '.buckets | tojson')" '{"1":256}'
	weir_stop
}

# Back and forth while clients ask: none of them notices.
moves_under_load() {
	local half
	CORES='[0-2]' IDLE=sleep
	config 2 >"$WORLD/default.yaml"
	weir_start || return 1
	expect_within 5 backends_up 3
	load_start load -c 16 -k 0 -d 10 -T 8 $URL/
	for _ in {1..10}; do
		expect ctl core move web --all 1 2
		expect_within 2 core_has 2 256
		half=$((RANDOM % 128))
		expect ctl core move web "0-$half" 2 1
		expect_within 2 core_has 1 $((half + 1))
		expect ctl core move web --all 2 1
		expect_within 2 core_has 1 256
		expect ctl core move web 128-255 1 2
		expect_within 2 core_has 2 128
	done
	load_wait load
	expect_no_failures load
	no_drops_but web
	expect_number "events of moves" \
		"$(ctl --json events | jq '[.[] | select(.kind == "core" and .object == "web")] | length')" -ge 40
	expect_balance
	weir_stop
}

core_has() { # CPU BUCKETS
	[ "$(service_field web ".buckets[\"$1\"]")" = "$2" ]
}

scenario "one core serves all, and sleeps when idle" serves '[0]' 1 sleep
scenario "one core serves all while it spins" serves '[0]' 1 spin
if [ "$CPUS" -ge 2 ]; then
	scenario "a move of buckets that cannot be is refused, and why" nowhere_to_go
	scenario "one core receives and another serves, and both sleep when idle" serves '[0, 1]' 1 sleep
else
	skip_case "one core receives and another serves" "one CPU"
fi
if [ "$CPUS" -ge 3 ]; then
	scenario "buckets move between cores while clients ask" moves_under_load
else
	skip_case "buckets move between cores while clients ask" "needs three CPUs"
fi
# With packet cores that spin there has to be one CPU more, for clients and servers.
if [ "$CPUS" -ge 4 ]; then
	scenario "one core receives and two serve a service together" serves '[0-2]' 2 sleep
	scenario "one core receives and two serve a service while they spin" serves '[0-2]' 2 spin
else
	skip_case "one core receives and two serve a service together" "needs four CPUs"
fi
finish
