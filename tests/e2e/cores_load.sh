#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Cores that move by load: a service gets one more, and gives it back after half a minute of quiet.

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
begin
# shellcheck source=tests/e2e/cores_world.sh
. "$(dirname "$0")/cores_world.sh"

UDP=$BUILD/tests/tools/weir-udp

# A policy that takes about a tenth of a millisecond, so that a few thousand packets a second fill a core.
busy_build() {
	cat >"$WORLD/busy.c" <<-END
	#include <weir/policy.h>
	WEIR_POLICY(busy)
	{
		__u32 x = ctx->sport;
	#pragma clang loop unroll(disable)
		for (__u32 i = 0; i < 20; i++) {
	#pragma clang loop unroll(full)
			for (__u32 k = 0; k < 2400; k++)
				x = x * 1103515245 + (x >> 16);
		}
		return x == 42 ? WEIR_DROP_AS(1) : WEIR_PASS;
	}
	END
	clang -O2 -g -w -target bpf -mcpu=v3 -isystem "/usr/include/$(uname -m)-linux-gnu" \
		-I "$TOP/ebpf/include" -c "$WORLD/busy.c" -o "$WORLD/busy.o"
}

echo_cores() { service_field echo '.cores | length'; }
echo_has() { [ "$(echo_cores)" = "$1" ]; } # CORES
echo_wants() { [ "$(service_field echo '.cores_range.wanted')" = "$1" ]; } # CORES

# Datagrams of 64 flows to echo for two seconds, all of them answered by who answered first.
echo_load() { # PER SECOND
	at client "$UDP" send -f 64 -n $(($1 * 2 / 64)) -r "$1" -w 2 198.51.100.10 9000
}

# More and more of them, until it wants a second core. What is too much for one may be lost; nothing else goes wrong.
echo_until_busy() {
	local rate
	for rate in 2000 4500 9000 17500; do
		echo_load $rate | tee "$WORLD/echo.json"
		expect_eq "changed, doubled or moved at $rate" \
			"$(jq '.corrupt + .duplicate + .moved' "$WORLD/echo.json")" 0
		! echo_wants 2 || return 0
	done
	fail "no load made it want a second core"
}

event_of_echo() { # TEXT
	ctl --json events | jq -e --arg t "$1" '.[] | select(.kind == "core" and .object == "echo" and (.text | test($t)))'
}

grows_under_load_and_gives_back() {
	CORES='[0-3]' IDLE=sleep
	config 1 'cores: {min: 1, max: 2}' >"$WORLD/default.yaml"
	pretend_cpus 4
	weir_start || return 1
	real_cpus
	expect_within 5 backends_up 3
	expect ctl policy load echo "$WORLD/busy.o" --budget 1000000000 --offload never
	expect_eq "cores of echo" "$(echo_cores)" 1
	echo_until_busy
	expect_within 2 echo_has 2
	expect event_of_echo 'cores 1 -> 2: busy [01]'
	expect event_of_echo 'buckets? moved from CPU'
	expect_eq "buckets" "$(service_field echo '[.buckets[]] | tojson')" '[128,128]'
	expect_eq "cores of web" "$(service_field web '.cores | length')" 1
	# Both work now, and nobody's datagrams are lost or answered by anybody else.
	expect echo_load 1000
	ctl core list
	ctl service show echo
	expect grep -q 'cores *cores 1 -> 2' <(ctl explain echo)
	expect_eq "cores of echo" "$(echo_cores)" 2
	# Half a minute of quiet, and one is given back.
	expect_within 60 echo_has 1
	expect event_of_echo 'cores 2 -> 1: busy 0.* for 3. s'
	expect echo_load 500
	expect_number "new flows" "$(service_field echo .new_flows)" -ge 64
	no_drops_but echo worker_behind worker_ring_full
	expect_balance
	weir_stop
}

# The only other core is the neighbour's own.
no_core_is_free() {
	CORES='[0-2]' IDLE=sleep
	config 1 'cores: {min: 1, max: 2}' >"$WORLD/default.yaml"
	pretend_cpus 3
	weir_start || return 1
	real_cpus
	expect_within 5 backends_up 3
	expect ctl policy load echo "$WORLD/busy.o" --budget 1000000000 --offload never
	echo_until_busy
	expect_within 2 event_of_echo 'is to have 2 cores and has 1: no other is free'
	expect_eq "cores that it lacks" "$(service_field echo '.cores_range.lacking')" 1
	expect_eq "cores of echo" "$(echo_cores)" 1
	expect_eq "what it lacks, for people" "$(ctl service show echo | grep -c 'cores not to be had *1')" 1
	expect grep -q 'no other core is free' <(ctl explain echo)
	# Fixed again, by a change of the configuration.
	config 1 'cores: 1' >"$WORLD/default.yaml"
	expect ctl config apply "$WORLD/default.yaml"
	expect_within 2 echo_wants 1
	expect_eq "cores that it lacks" "$(service_field echo '.cores_range.lacking')" 0
	expect_balance
	weir_stop
}

require busy_build
scenario "a service gets a core more under load, and gives it back" grows_under_load_and_gives_back
scenario "where no core is free a service says so and goes on" no_core_is_free
finish
