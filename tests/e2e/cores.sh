#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# One core and several, cores that move by hand, idle modes, and interfaces with several queues.

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
begin
# shellcheck source=tests/e2e/cores_world.sh
. "$(dirname "$0")/cores_world.sh"

UDP=$BUILD/tests/tools/weir-udp
URL=http://198.51.100.10

cpu_seconds() { # PID: user and system time of all its threads
	awk -v hz="$(getconf CLK_TCK)" '{ print ($14 + $15) / hz }' "/proc/$1/stat"
}

serves() { # CORES WORKERS IDLE
	local dataplane before after packet_cores used
	CORES=$1 IDLE=$3
	config "$2" >"$WORLD/default.yaml"
	weir_start || return 1
	expect_within 5 backends_up 3
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
	used=$(awk "BEGIN { print ($after - $before) / $packet_cores }")
	echo "CPU seconds of each core in an idle second, $3: $used"
	if [ "$3" = sleep ]; then
		expect_number "CPU seconds of each core in an idle second" "$used" -lt 0.25
	elif [ "$3" = interrupt ]; then
		expect_number "CPU seconds of each core in an idle second" "$used" -lt 0.1
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

# Some 250 waits a second are the time's; requests are answered much sooner than those would allow.
waits() { # CORES
	local last n
	CORES=$1 IDLE=interrupt
	config 1 >"$WORLD/default.yaml"
	weir_start || return 1
	expect_within 5 backends_up 3
	expect_eq "what it does when idle" "$(ctl --json status | jq -r .dataplane.idle)" interrupt
	for n in front back; do
		expect_eq "$n wakes its core" "$(ctl --json port show $n | jq '.wakes')" true
	done
	last=$(($(ctl --json core list | jq length) - 1))
	fetch -o /dev/null $URL/
	load_start waits -c 1 -k 0 -n 400 -w 0.005 -t 20 -T 8 $URL/
	load_wait waits
	expect_no_failures waits
	ctl core list
	ctl --json core show 0 | jq -c .wakeup
	# A packet comes at an idle core, and so does its reply: four waits of 2 ms on average, were nobody woken.
	expect_number "median of the requests" "$(load_field waits .p50)" -lt 0.002
	if [ "$last" != 0 ]; then
		expect_number "p50 of how late the worker was woken" \
			"$(ctl --json core list | jq ".[$last].wakeup.p50")" -lt 0.001
	fi
	expect_balance
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
	pretend_cpus 3
	weir_start || return 1
	real_cpus
	expect_within 5 backends_up 3
	load_start load -c 16 -k 0 -t 60 -T 8 $URL/
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
	load_stop load
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
scenario "one core serves all, and waits for interrupts" serves '[0]' 1 interrupt
scenario "interrupts of the interface wake it, and nothing else does" waits '[0]'
if [ "$(nproc)" -ge 2 ]; then
	scenario "a move of buckets that cannot be is refused, and why" nowhere_to_go
	scenario "one core receives and another serves, and both sleep when idle" serves '[0, 1]' 1 sleep
	scenario "one core receives and another serves, and both wait for interrupts" serves '[0, 1]' 1 interrupt
	scenario "a core that waits is woken by the one that dispatches" waits '[0, 1]'
else
	skip_case "one core receives and another serves" "one CPU"
fi
scenario "buckets move between cores while clients ask" moves_under_load
# With packet cores that spin there has to be one CPU more, for clients and servers.
if [ "$(nproc)" -ge 4 ]; then
	scenario "one core receives and two serve a service together" serves '[0-2]' 2 sleep
	scenario "one core receives and two serve a service while they spin" serves '[0-2]' 2 spin
else
	skip_case "one core receives and two serve a service together" "needs four CPUs"
fi
finish
