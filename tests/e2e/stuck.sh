#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# A packet core of a running Weir that loops without end: it is named within 50 ms, others do its work and
# the neighbour loses nothing; the only one there is has the data plane started anew after 10 s.

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
begin

[ "$(uname -m)" = x86_64 ] || { echo "1..0 # SKIP the loop is two bytes of x86-64" >&3; finished=yes; exit 0; }
UDP=$BUILD/tests/tools/weir-udp
URL=http://198.51.100.10

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
	    health: {type: none}
	    backends:
	      - {address: 10.2.0.11, port: 8080}
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
require nginx_start b1 10.2.0.11:8080
udp_start b1 10.2.0.11 9000
blob_make 4

thread_of_core() { # INDEX: of the packet cores' threads, in their order
	local task
	for task in /proc/"$(dataplane_pid)"/task/*; do
		[[ $(<"$task/comm") = *worker* ]] && basename "$task"
	done | sort -n | sed -n "$(($1 + 1))p"
}

loops() { # CORE SECONDS
	python3 "$TOP/tests/e2e/notify_watch.py" --loop "$(thread_of_core "$1")" "$2" >"$WORLD/began" &
	looping=$!
	wait_for 5 test -s "$WORLD/began"
}

told() { # TEXT
	ctl --json events | jq -e --arg t "$1" '[.[] | select(.text | contains($t))] | length > 0'
}

# Where others have the CPU, the core may not even be run to loop.
told_with_its_stage() {
	told "is stuck in stage" || told "it was in stage"
}

found_out_after() { # prints seconds
	ctl --json events | jq --argjson b "$(cat "$WORLD/began")" \
		'[.[] | select(.text | contains("in stage")) | .time - $b] | min'
}

# web's core is the second, echo's the third.
others_do_its_work() {
	local slow echo
	CORES='[0-2]' IDLE=sleep
	config >"$WORLD/default.yaml"
	pretend_cpus 3
	weir_start || return 1
	real_cpus
	expect_within 5 backends_up 2
	expect_eq "buckets of web" "$(service_field web '.buckets | tojson')" '{"1":256}'
	fetch --max-time 60 --limit-rate 1M -o "$WORLD/got" $URL/blob &
	slow=$!
	expect_within 5 test -s "$WORLD/got"
	at client "$UDP" send -f 64 -n 60 -r 1000 -w 2 198.51.100.10 9000 >"$WORLD/echo.json" &
	echo=$!
	loops 1 3
	expect_within 5 told_with_its_stage
	expect_within 5 told "was taken over"
	ctl events
	echo "# found out $(found_out_after) s after the loop began, by an event with its stage" >&3
	expect fetch --max-time 5 -o /dev/null $URL/
	wait $slow
	expect cmp "$WORLD/www/blob" "$WORLD/got"
	wait $echo
	cat "$WORLD/echo.json"
	expect_eq "datagrams of the neighbour lost, changed, doubled or moved" \
		"$(jq '.sent - .received + .corrupt + .duplicate + .moved' "$WORLD/echo.json")" 0
	expect_eq "packets of the neighbour dropped" "$(service_field echo '[.dropped[]] | add // 0')" 0
	wait $looping
	expect_within 10 told "goes round again"
	expect_within 20 comes_home
	expect_balance
	weir_stop
}

# How long after each of several stops of core 1 began it was told of, by an event that names its stage.
found_out_in_time() { # CPUS HOW TEXT
	local times=${STUCK_LOOPS:-10} follower
	CORES="[0-$(($1 - 1))]" IDLE=sleep
	config >"$WORLD/default.yaml"
	pretend_cpus "$1"
	weir_start || return 1
	real_cpus
	expect_within 5 backends_up 2
	ctl --json events --follow >"$WORLD/events" &
	follower=$!
	python3 "$TOP/tests/e2e/notify_watch.py" "$2" "$(thread_of_core 1)" 0.15 "$times" >"$WORLD/began"
	kill $follower
	jq -s --arg text "$3" --rawfile began "$WORLD/began" '[.[] | select(.text | contains($text))] as $told |
		[$began | split("\n")[] | select(. != "") | tonumber as $b |
			$told | map(select(.time >= $b)) | first | {after: (.time - $b), text}] | sort_by(.after) |
		{count: length, p50: .[length / 2 | floor].after, p90: .[length * 9 / 10 | floor].after, max: .[-1].after,
			slowest: .[-1].text}' "$WORLD/events" >"$WORLD/found"
	echo "# $1 packet cores, $2, told of after seconds: $(jq -c . "$WORLD/found")" >&3
	expect_eq "stops" "$(jq .count "$WORLD/found")" "$times"
	expect_number "p50 of the time until it was told" "$(jq .p50 "$WORLD/found")" -lt 0.05
	weir_stop
}

comes_home() {
	[ "$(service_field web '.buckets | tojson')" = '{"1":256}' ]
}

the_only_one() {
	local before slow took
	CORES='[0]' IDLE=sleep
	config >"$WORLD/default.yaml"
	weir_start || return 1
	expect_within 5 backends_up 2
	fetch --max-time 60 --limit-rate 256k -o "$WORLD/got" $URL/blob &
	slow=$!
	expect_within 5 test -s "$WORLD/got"
	before=$(dataplane_pid)
	loops 0 60
	expect_within 5 told "is stuck in stage"
	expect_within 5 told "if it does not go round in 10 s"
	expect_eq "data plane meanwhile" "$(dataplane_pid)" "$before"
	expect_not fetch --max-time 2 -o /dev/null $URL/
	expect_within 20 another_dataplane "$before"
	took=$(awk -v b="$(cat "$WORLD/began")" -v n="${EPOCHREALTIME}" 'BEGIN { print n - b }')
	expect_number "seconds until a new one" "$took" -ge 9.5
	expect_within 5 fetch --max-time 2 -o /dev/null $URL/
	echo "# a new data plane $took s after the loop began" >&3
	wait $slow
	expect cmp "$WORLD/www/blob" "$WORLD/got"
	ctl events
	kill $looping 2>/dev/null
	expect_balance
	weir_stop
}

another_dataplane() { # PID
	local now
	now=$(dataplane_pid)
	[ -n "$now" ] && [ "$now" != null ] && [ "$now" != "$1" ]
}

scenario "a core that loops is named with its stage, another does its work, and the neighbour loses nothing" others_do_its_work
if [ "$(nproc)" -ge 2 ]; then
	scenario "each of several loops is told of within 50 ms, at the median" found_out_in_time 2 --loop "is stuck in stage"
	scenario "so it is where cores share CPUs" found_out_in_time 3 --loop "is stuck in stage"
	scenario "so is each of several stops of a thread" found_out_in_time 2 --hold "it was in stage"
else
	skip_case "each of several loops is told of within 50 ms, at the median" "one CPU"
	skip_case "so it is where cores share CPUs" "one CPU"
	skip_case "so is each of several stops of a thread" "one CPU"
fi
scenario "where the only core loops the data plane is started anew after 10 s, and flows go on" the_only_one
finish
