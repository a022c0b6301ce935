#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Policies that the kernel runs in front of an AF_XDP port: what it drops, what goes on with its verdict, one limit
# that both sides keep, and what is left of it all when processes are killed. Asserts on what the peer received and on
# what the kernel says of its interfaces.

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
begin

TOP=$(cd "$(dirname "$0")/../.." && pwd)
SHIPPED=$BUILD/ebpf/policies
DATAGRAMS=$TOP/tests/e2e/datagrams.py
WEB=http://198.51.100.10/
NAMES=198.51.100.53

build_policy() { # SOURCE OBJECT
	clang -O2 -g -w -target bpf -mcpu=v3 -isystem "/usr/include/$(uname -m)-linux-gnu" \
		-I "$TOP/ebpf/include" -c "$1" -o "$2"
}

config() {
	config_head front=front back=back
	cat <<-END
	services:
	  - name: names
	    address: $NAMES
	    port: 5300
	    protocol: udp
	    mode: nat
	    source-addresses: [10.2.0.100]
	    health: {type: none}
	    backends: [{address: 10.2.0.11, port: 5300}]
	  - name: web
	    address: 198.51.100.10
	    port: 80
	    protocol: tcp
	    mode: nat
	    source-addresses: [10.2.0.100]
	    health: {type: none}
	    pools:
	      - {name: canary, backends: [{address: 10.2.0.13, port: 8080}]}
	    backends: [{address: 10.2.0.12, port: 8080}]
	END
}

require topology_two_armed
require nginx_start b2 10.2.0.12:8080
require nginx_start b3 10.2.0.13:8080
start_at b1 python3 "$DATAGRAMS" serve 10.2.0.11 5300 "$WORLD/received" &
require build_policy "$TOP/tests/replay/policies/chosen.c" "$WORLD/chosen.o"
require build_policy "$TOP/tests/bpf/policies/good/shared_limit.c" "$WORLD/shared_limit.o"
require build_policy "$TOP/tests/bpf/policies/fast_path/new_flow.c" "$WORLD/new_flow.o"
traces >"$WORLD/traces.before"
config >"$WORLD/default.yaml"
require weir_start
require wait_for 30 backends_up 3

policy_load() { # SERVICE OBJECT [OPTION...]
	ctl policy load "$@" --budget 1000000000
}

policy_field() { # SERVICE JQ: of its first policy
	ctl --json policy show "$1" | jq -r ".policies[0] | $2"
}

in_kernel() { # SERVICE NAME
	[ "$(policy_field "$1" '.name + " " + .state + " " + (.kernel.runs | tostring)')" = "$2 running true" ]
}

send() { # WORD COUNT [OPTION...]: prints when it began and ended
	at client python3 "$DATAGRAMS" send "$NAMES" 5300 "$@"
}

received() { # WORD
	jq --arg w "$1" '.[$w] // 0' "$WORLD/received" 2>/dev/null || echo 0
}
has_received() { [ "$(received "$1")" -ge "$2" ]; }

# What XDP programs dropped on the client's side of Weir, as the kernel's driver counts it.
kernel_drops() {
	at weir ethtool -S front | awk '/xdp_drops:/ { n += $2 } END { print n + 0 }'
}

counts_to() { # SERVICE JQ NUMBER
	[ "$(policy_field "$1" "$2 // 0")" = "$3" ]
}

backend_for() { # SOURCE
	fetch "$WEB" --interface "$1" -D - -o /dev/null | tr -d '\r' | sed -n 's/^X-Backend: //p'
}

programs() { # how many XDP programs hang on interfaces
	ip -n weir -d -j link | jq '[.[] | select(.xdp)] | length'
}

# Reflectors' packets end in the kernel, and are counted where the policy's others are.
drops_in_the_kernel() {
	local before
	expect policy_load names "$SHIPPED/amplification.o"
	expect_within 10 in_kernel names amplification
	before=$(kernel_drops)
	expect send plain 50 >/dev/null
	expect_within 5 has_received plain 50
	expect send ssdp 40 --from 10.1.0.2:1900
	expect send chargen 10 --from 10.1.0.2:19
	expect send behind 10
	expect_within 5 has_received behind 10
	expect_eq "datagrams of reflectors that came through" "$(($(received ssdp) + $(received chargen)))" 0
	expect_eq "packets that the kernel dropped" "$(($(kernel_drops) - before))" 50
	expect_within 5 counts_to names '.reasons["3"]' 50
	expect_eq "verdicts" "$(policy_field names '[.verdicts.pass, .verdicts.drop, .packets] | tostring')" "[60,50,110]"
	expect_eq "drops of the service" "$(drops_of names policy)" 50
	expect_eq "packets to the service, and replies" "$(service_field names .packets_received)" 110
	expect_balance
	expect ctl policy unload names
	expect send ssdp 5 --from 10.1.0.2:1900
	expect_within 5 has_received ssdp 5
}

# Never, and what cannot: judged by Weir as before, and told why.
others_are_told_why() {
	local before
	before=$(kernel_drops)
	expect policy_load names "$SHIPPED/amplification.o" --offload never
	expect_eq "why" "$(policy_field names .kernel.why)" "offload: never"
	expect send never 5 --from 10.1.0.2:1900
	expect_within 5 counts_to names '.reasons["3"]' 5
	expect policy_load names "$SHIPPED/block_list.o"
	expect_eq "why" "$(policy_field names .kernel.why)" \
		"its map allowed (lpm_trie) belongs to the fast path; only arrays are shared"
	expect policy_load names "$WORLD/new_flow.o"
	expect grep -q 'whether a flow is new' <(ctl policy show names)
	expect policy_load names "$WORLD/chosen.o" --observe
	expect_eq "why" "$(policy_field names .kernel.why)" "it is only observed"
	expect policy_load names "$SHIPPED/amplification.o" --append
	expect_eq "why" "$(ctl --json policy show names | jq -r '.policies[1].kernel.why')" \
		"only a service's first policy is in the kernel"
	expect_eq "packets that the kernel dropped" "$(($(kernel_drops) - before))" 0
	expect ctl policy unload names
	expect_not policy_load names "$SHIPPED/amplification.o" --offload always
}

# What is no drop goes on with its verdict: here a pool, for real requests.
verdicts_go_on() {
	expect policy_load web "$WORLD/chosen.o"
	expect_within 10 in_kernel web chosen
	expect_eq "backend of the canary's client" "$(backend_for 10.1.0.3)" b3
	expect_eq "backend of another" "$(backend_for 10.1.0.4)" b2
	expect_number "packets judged" "$(policy_field web .verdicts.route)" -ge 3
	expect_balance
}

# 4000 datagrams a second for 5 s, half of which the kernel leaves to Weir, and a limit of 1000 a second.
one_limit_for_both() {
	local before allowed got plain with
	expect policy_load names "$WORLD/shared_limit.o" --set rate=1000 --set burst=20
	expect_within 10 in_kernel names shared_limit
	before=$(kernel_drops)
	send with_options 10000 --rate 2000 --options >"$WORLD/times.1" &
	send without 10000 --rate 2000 >"$WORLD/times.2"
	wait $!
	allowed=$(awk 'NR == 1 || $1 < from { from = $1 } $2 > to { to = $2 } END { print 1000 * (to - from) + 20 }' \
		"$WORLD/times.1" "$WORLD/times.2")
	expect_within 5 counts_to names '.packets' 20000
	sleep 0.2
	plain=$(received without)
	with=$(received with_options)
	got=$((plain + with))
	echo "$got of $allowed allowed: $plain by the kernel's word, $with by Weir's; $(($(kernel_drops) - before)) dropped in the kernel"
	expect_number "datagrams that came through" "$got" -le "$(awk -v a="$allowed" 'BEGIN { print a * 1.02 }')"
	expect_number "datagrams that came through" "$got" -ge "$(awk -v a="$allowed" 'BEGIN { print a * 0.98 }')"
	expect_number "of which the kernel let pass" "$plain" -ge 500
	expect_number "of which Weir let pass" "$with" -ge 500
	expect_eq "packets that the kernel dropped" "$(($(kernel_drops) - before))" "$((10000 - plain))"
	expect_eq "passed, by both" "$(policy_field names .verdicts.pass)" "$got"
	expect_eq "dropped, by both" "$(policy_field names '.verdicts.drop')" "$((20000 - got))"
	expect_balance
}

dataplane_is_not() { # PID
	local pid
	pid=$(dataplane_pid) && [ "$pid" != null ] && [ "$pid" != "$1" ]
}

# The daemon dies: the kernel goes on judging, and the next daemon knows of it.
daemon_dies() {
	local before
	expect policy_load names "$SHIPPED/amplification.o"
	expect_within 10 in_kernel names amplification
	kill -KILL "${weir_pid[default]}"
	wait "${weir_pid[default]}"
	before=$(kernel_drops)
	expect send night 20 --from 10.1.0.2:1900
	expect_eq "packets that the kernel dropped" "$(($(kernel_drops) - before))" 20
	weir_start
	expect_within 10 in_kernel names amplification
	expect_within 5 counts_to names '.reasons["3"]' 20
	expect_eq "packets that came through" "$(received night)" 0
}

# The data plane dies: while there is none nothing is served, then the kernel judges again.
dataplane_dies() {
	local pid before
	pid=$(dataplane_pid)
	kill -KILL "$pid"
	expect_within 20 dataplane_is_not "$pid"
	expect_within 20 in_kernel names amplification
	expect_within 10 send_comes_through
	before=$(kernel_drops)
	expect send again 20 --from 10.1.0.2:1900
	expect_eq "packets that the kernel dropped" "$(($(kernel_drops) - before))" 20
	expect_within 5 counts_to names '.reasons["3"]' 20
	expect_eq "packets that came through" "$(received again)" 0
	expect_balance
}
send_comes_through() {
	send alive 1 >/dev/null
	wait_for 1 has_received alive 1
}

# Both are killed: nothing hangs on the interfaces. The next ones start as ever, and take all away at the end.
both_die() {
	local pid
	pid=$(dataplane_pid)
	expect_eq "programs on interfaces" "$(programs)" 2
	kill -KILL "${weir_pid[default]}"
	kill -KILL "$pid"
	wait "${weir_pid[default]}"
	wait_for 5 no_programs
	expect_eq "programs on interfaces" "$(programs)" 0
	weir_start
	expect_within 20 in_kernel web chosen
	expect weir_stop
	expect_within 5 no_traces
}
no_programs() { [ "$(programs)" = 0 ]; }
no_traces() {
	traces >"$WORLD/traces.after"
	diff "$WORLD/traces.before" "$WORLD/traces.after"
}

scenario "what a policy drops ends in the kernel, and is counted with its other drops" drops_in_the_kernel
scenario "what cannot be in the kernel is told why, and judged by Weir" others_are_told_why
scenario "every other verdict goes on with the packet" verdicts_go_on
scenario "one limit that kernel and Weir keep together is kept within 2%" one_limit_for_both
scenario "the daemon's death disturbs no policy in the kernel" daemon_dies
scenario "the data plane's death brings it back" dataplane_dies
scenario "nothing is left attached when both are killed" both_die
finish
