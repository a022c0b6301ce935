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

metrics() {
	at weir curl -sS --max-time 5 http://127.0.0.1:9464/metrics
}

config() {
	config_head front=front back=back
	echo 'metrics: {listen: "127.0.0.1:9464"}'
	cat <<-END
	services:
	  - name: names
	    address: $NAMES
	    port: 5300
	    protocol: udp
	    mode: nat
	    source-addresses: [10.2.0.100]
	    health: {type: none}
	    classes: [{name: none, packets: 0}]
	    backends: [{address: 10.2.0.11, port: 5300}]
	  - name: net
	    address: 198.51.100.0/24
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
require wait_for 30 backends_up 4

policy_load() { # SERVICE OBJECT [OPTION...]
	ctl policy load "$@" --budget 1000000000
}

policy_field() { # SERVICE JQ [POSITION]: of its first policy
	ctl --json policy show "$1" | jq -r ".policies[${3:-1} - 1] | $2"
}

in_kernel() { # SERVICE NAME [POSITION]
	[ "$(policy_field "$1" '.name + " " + .state + " " + .where' "${3:-1}")" = "$2 running kernel on front, back" ]
}

send() { # WORD COUNT [OPTION...]: prints when it began and ended
	send_to "$NAMES" "$@"
}
send_to() { # ADDRESS WORD COUNT [OPTION...]
	at client python3 "$DATAGRAMS" send "$1" 5300 "${@:2}"
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
	expect_eq "where" "$(policy_field names '[.kernel.packets, .kernel.dropped, .kernel.ports, .kernel.why] | tostring')" \
		'[110,50,["front","back"],null]'
	expect_number "cycles in the kernel" "$(policy_field names .kernel.cycles)" -gt 0
	expect grep -q '^weir_policy_judged_total{.*service="names".*place="kernel"} 110$' <(metrics)
	expect grep -q '^weir_policy_in_kernel{.*service="names".*port="front"} 1$' <(metrics)
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
	expect policy_load names "$SHIPPED/source_limit.o"
	expect_eq "why" "$(policy_field names .kernel.why)" "its map sources (lru_hash) is the fast path's own"
	expect_eq "where" "$(policy_field names .where)" "fast path"
	expect grep -q '^weir_policy_in_kernel{.*service="names".*port="front"} 0$' <(metrics)
	expect policy_load names "$WORLD/new_flow.o"
	expect grep -q 'whether a flow is new' <(ctl policy show names)
	expect policy_load names "$WORLD/chosen.o" --observe
	expect_eq "why" "$(policy_field names .kernel.why)" "it is only observed"
	expect policy_load names "$SHIPPED/amplification.o" --append
	expect_eq "why" "$(policy_field names .kernel.why 2)" "a policy in front of it is not in the kernel"
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
	expect_eq "of which here" "$(policy_field web '.packets - .kernel.packets')" 0
	expect_balance
	# And a class, which lets nothing pass.
	expect policy_load names "$WORLD/chosen.o" --set verdict=0x103 --set source=3
	expect_within 10 in_kernel names chosen
	expect send held 7 --from 10.1.0.3:2000
	expect_within 5 counts_to names .verdicts.limit 7
	expect_eq "dropped by the class" "$(drops_of names limit_class)" 7
	expect_eq "judged in the kernel" "$(policy_field names '[.kernel.packets, .kernel.dropped] | tostring')" "[7,0]"
	expect_eq "came through" "$(received held)" 0
	expect ctl policy unload names
}

# A list that changes under traffic, by hand and from a file, is the same in both places when the command returns.
lists_are_in_the_kernel() {
	local before
	expect policy_load names "$SHIPPED/block_list.o"
	expect_within 10 in_kernel names block_list
	before=$(kernel_drops)
	expect send open 5
	expect_within 5 has_received open 5
	expect ctl policy map set names blocked 10.1.0.0/24 7
	expect send shut 5
	expect ctl policy map set names allowed 10.1.0.2/32 1
	expect send known 5 --from 10.1.0.2:2000
	expect_within 5 has_received known 5
	expect ctl policy map delete names allowed 10.1.0.2/32
	expect send shut 5
	expect_eq "packets that the kernel dropped" "$(($(kernel_drops) - before))" 10
	expect_within 5 counts_to names '.reasons["7"]' 10
	seq 0 99999 | awk '{ printf "%d.%d.%d.7/32 9\n", 11 + int($1 / 65536), int($1 / 256) % 256, $1 % 256 }' >"$WORLD/list"
	expect ctl policy map load names blocked "$WORLD/list" --replace
	expect send other 5
	expect_within 5 has_received other 5
	echo "10.1.0.0/24 8" >>"$WORLD/list"
	expect ctl policy map load names blocked "$WORLD/list" --replace
	expect send shut 5
	expect_eq "packets that the kernel dropped" "$(($(kernel_drops) - before))" 15
	expect_eq "came through" "$(received shut)" 0
	expect in_kernel names block_list
	# What the fast path does not take whole is not known: the copy begins anew.
	expect_not ctl policy map delete names blocked 172.16.0.0/12
	expect_within 10 in_kernel names block_list
	expect send shut 5
	expect_eq "packets that the kernel dropped" "$(($(kernel_drops) - before))" 20
	expect_balance
}

# The next daemon does not know what its predecessor had begun, so copies are made of what the data plane has.
daemon_dies_with_a_list() {
	local before
	kill -KILL "${weir_pid[default]}"
	wait "${weir_pid[default]}"
	before=$(kernel_drops)
	expect send shut 5
	expect_eq "packets that the kernel dropped" "$(($(kernel_drops) - before))" 5
	weir_start
	expect_within 20 in_kernel names block_list
	expect send shut 5
	expect_eq "packets that the kernel dropped" "$(($(kernel_drops) - before))" 10
	expect ctl policy map delete names blocked 10.1.0.0/24
	expect send after 5
	expect_within 5 has_received after 5
	expect_eq "came through" "$(received shut)" 0
}

# Two of a service, one behind the other; what the first passes and the second drops is a verdict of both.
several_are_in_the_kernel() {
	local before
	expect ctl policy map set names blocked 10.1.0.3/32 7
	expect policy_load names "$SHIPPED/amplification.o" --append
	expect_within 10 in_kernel names amplification 2
	expect in_kernel names block_list
	before=$(kernel_drops)
	expect send first 4 --from 10.1.0.3:2000
	expect send second 5 --from 10.1.0.2:1900
	expect send neither 6
	expect_within 5 has_received neither 6
	expect_eq "packets that the kernel dropped" "$(($(kernel_drops) - before))" 9
	expect_within 5 counts_to names '.packets - .kernel.dropped' "$(policy_field names '.kernel.packets - .kernel.dropped')"
	expect_eq "of the second" "$(policy_field names '[.packets, .verdicts.drop, .verdicts.pass, .kernel.packets] | tostring' 2)" \
		"[11,5,6,11]"
	expect_eq "came through" "$(($(received first) + $(received second)))" 0
	expect_balance
	expect ctl policy unload names
}

# The range's policy is not asked about what is a more specific service's.
ranges_are_in_the_kernel() {
	local before
	expect policy_load net "$SHIPPED/amplification.o"
	expect_within 10 in_kernel net amplification
	before=$(kernel_drops)
	expect send_to 198.51.100.77 range 5 --from 10.1.0.2:1900
	expect send own 5 --from 10.1.0.2:1900
	expect_within 5 has_received own 5
	expect_eq "packets that the kernel dropped" "$(($(kernel_drops) - before))" 5
	expect_within 5 counts_to net '.reasons["3"]' 5
	expect_eq "came through" "$(received range)" 0
	expect_balance
	expect ctl policy unload net
}

traced_here() { [ "$(policy_field names .where)" = "fast path" ]; }

# While a service is traced no packet of it is lost in the kernel; also when the one who asked is killed.
traces_see_all() {
	local tracer before
	expect policy_load names "$SHIPPED/amplification.o"
	expect policy_load web "$WORLD/chosen.o"
	expect_within 10 in_kernel names amplification
	expect_within 10 in_kernel web chosen
	ctl --json trace names --count 5 >"$WORLD/trace.json" &
	tracer=$!
	expect_within 5 traced_here
	expect grep -q 'are being traced' <(ctl policy show names)
	expect in_kernel web chosen
	before=$(kernel_drops)
	expect send traced 5 --from 10.1.0.2:1900
	expect wait $tracer
	expect_eq "dropped packets in the trace" "$(jq '[.[] | select(.verdict == "dropped")] | length' "$WORLD/trace.json")" 5
	expect_eq "what the policy said" "$(jq -c '.[0].stages[] | select(.stage == "policy") | .policies' "$WORLD/trace.json")" \
		'[{"says":"drop","argument":3,"observed":false}]'
	expect_eq "packets that the kernel dropped" "$(($(kernel_drops) - before))" 0
	expect_within 5 in_kernel names amplification
	WEIR_RUN_DIR=$RUN "$BUILD/weirctl" trace names >/dev/null &
	tracer=$!
	expect_within 5 traced_here
	kill -KILL $tracer
	wait $tracer
	expect_within 8 in_kernel names amplification
	expect send traced 5 --from 10.1.0.2:1900
	expect_eq "packets that the kernel dropped" "$(($(kernel_drops) - before))" 5
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
scenario "lists that a policy only reads are in the kernel, in step with every change" lists_are_in_the_kernel
scenario "after the daemon's death a list's copy is what the data plane has" daemon_dies_with_a_list
scenario "several policies of a service are in the kernel, one behind the other" several_are_in_the_kernel
scenario "a range of addresses is judged there, but for what is another service's" ranges_are_in_the_kernel
scenario "while a service is traced its policies are not in the kernel" traces_see_all
scenario "one limit that kernel and Weir keep together is kept within 2%" one_limit_for_both
scenario "the daemon's death disturbs no policy in the kernel" daemon_dies
scenario "the data plane's death brings it back" dataplane_dies
scenario "nothing is left attached when both are killed" both_die
finish
