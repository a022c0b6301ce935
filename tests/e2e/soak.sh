#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Soak: mixed traffic for SOAK_SECONDS (600), with an apply a second, backends that come and go, malformed
# packets, traces, and both daemons killed at random. Two thirds of the time with kills, the last third
# without, to see what one life of the processes leaves behind. SOAK_SEED repeats a run's choices.
#
# What has to hold: HTTP requests succeed, but for the time from the death of a data plane until it serves
# again; packet sums balance after every stretch; memory, descriptors, pins, addresses and files are in the
# end what they were in the beginning.

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
begin

DURATION=${SOAK_SECONDS:-600}
SEED=${SOAK_SEED:-$$$(date +%S)}
RANDOM=$SEED
URL=http://198.51.100.10/
URL6='http://[2001:db8:100::10]/'
UDP=$BUILD/tests/tools/weir-udp

applies=0
applies_slowest=0
declare -A kills=([controld]=0 [dataplane]=0 [both]=0)
requests=0
recovery_slowest=0

# config N: a stable part, and one that is different each time.
config() {
	local n=$1
	config_head front=front back=back
	cat <<-END
	services:
	  - name: web
	    address: 198.51.100.10
	    port: 80
	    protocol: tcp
	    mode: nat
	    source-addresses: [10.2.0.100]
	    health: {type: http, path: /healthz, interval: 200ms, timeout: 150ms, rise: 1, fall: 4}
	    backends:
	      - {address: 10.2.0.11, port: 8080, weight: $((100 + n % 3 * 50))}
	      - {address: 10.2.0.12, port: 8080}
	  - name: web6
	    address: 2001:db8:100::10
	    port: 80
	    protocol: tcp
	    mode: nat
	    source-addresses: ["fd02::100"]
	    health: {type: tcp, interval: 200ms, timeout: 150ms, rise: 1, fall: 4}
	    backends:
	      - {address: "fd02::11", port: 8080}
	      - {address: "fd02::12", port: 8080, weight: $((50 + n % 2 * 50))}
	  - name: flapping
	    address: 198.51.100.11
	    port: 80
	    protocol: tcp
	    mode: nat
	    source-addresses: [10.2.0.100]
	    health: {type: tcp, interval: 200ms, timeout: 150ms, rise: 1, fall: 2}
	    backends:
	      - {address: 10.2.0.13, port: 8080}
	      - {address: 10.2.0.12, port: 8080, weight: $((n % 4 * 25))}
	  - name: echo
	    address: 198.51.100.10
	    port: 9000
	    protocol: udp
	    mode: nat
	    source-addresses: [10.2.0.100]
	    limits: {packets: $((300 + n % 5 * 100)), connections: 1k}
	    health: {type: none}
	    backends:
	      - {address: 10.2.0.11, port: 9000}
	END
	[ "$n" -ne 0 ] || return 0
	cat <<-END
	  - name: extra-$((n % 5))
	    address: 198.51.100.$((20 + n % 5))
	    port: 80
	    protocol: tcp
	    mode: nat
	    source-addresses: [10.2.0.100]
	    health: {type: http, path: /healthz, interval: 200ms, timeout: 150ms}
	    backends:
	      - {address: 10.2.0.12, port: 8080}
	END
}

require topology_two_armed
for n in 1 2 3; do
	require nginx_start "b$n" "10.2.0.1$n:8080" "[fd02::1$n]:8080"
done
udp_start b1 10.2.0.11 9000
[ "$(nproc)" -lt 2 ] || CORES='[0, 1]'
config 0 >"$WORLD/default.yaml"
traces >"$WORLD/traces.before"
require weir_start
require wait_for 20 backends_up 7

running_traces() {
	traces | sed -e '/^processes:/,/^hugepages:/d' -e 's/"prog":{[^}]*}/"prog"/g'
}
running_traces >"$WORLD/traces.running"

as_when_running() {
	running_traces >"$WORLD/traces.now"
	diff "$WORLD/traces.running" "$WORLD/traces.now"
}

as_before_start() {
	traces >"$WORLD/traces.after"
	diff "$WORLD/traces.before" "$WORLD/traces.after"
}

# What no client of ours would send: cut off, contradicting, fragmented, worn out, and random.
cat >"$WORLD/garbage.py" <<'END'
import os, random, socket, struct, sys, time
mac = bytes.fromhex(sys.argv[1].replace(":", ""))
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.bind(("eth0", 0))
rng = random.Random(int(sys.argv[2]))
def packet(length=40, frag=0, ttl=64, offset=5):
    ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, length, 1, frag, ttl, 6, 0,
                     bytes([10, 1, 0, 2]), bytes([198, 51, 100, 10]))
    n = sum(struct.unpack(">10H", ip))
    n = (n & 0xffff) + (n >> 16)
    ip = ip[:10] + struct.pack(">H", ~(n + (n >> 16)) & 0xffff) + ip[12:]
    return ip + struct.pack(">HHIIBBHHH", rng.randrange(65536), 80, 1, 0, offset << 4, 2, 999, 0, 0)
kinds = [lambda: packet(1000), lambda: packet(frag=0x2000), lambda: packet(frag=5), lambda: packet(ttl=1),
         lambda: packet(offset=2), lambda: packet()[:33], lambda: packet(),
         lambda: packet()[:20] + rng.randbytes(rng.randrange(40)), lambda: rng.randbytes(60)]
while True:
    s.send(mac + bytes([2, 0, 0, 0, 9, 9]) + b"\x08\x00" + rng.choice(kinds)())
    time.sleep(0.01)
END

garbage_start() {
	local mac
	mac=$(ip -n weir -j link show front | jq -r '.[0].address')
	start_at client python3 "$WORLD/garbage.py" "$mac" $RANDOM &
	garbage=$!
}

# Every request of these has to succeed, as long as nobody kills the data plane.
loads_start() {
	load_start short -c 200 -r 50 -t 100 -T 8 -i 0.5 $URL
	load_start long -c 4 -k 0 -w 0.02 -t 100 -T 8 -i 0.5 $URL
	load_start six -c 4 -k 20 -w 0.02 -t 100 -T 8 -i 0.5 "$URL6"
}

loads_stop() {
	local load
	for load in short long six; do
		load_stop $load >/dev/null
		expect_no_failures $load
		requests=$((requests + $(load_field $load .ok)))
	done
}

# These may fail: more than the limit lets through, and a backend that dies under them.
rough_start() {
	at client "$UDP" send -f 50 -n 100000 -r 800 -s 300 198.51.100.10 9000 >"$WORLD/udp.json" 2>&1 &
	rough=$!
	load_start flapping -c 4 -w 0.02 -t 100 http://198.51.100.11/
	garbage_start
}

rough_stop() {
	pkill -P $rough 2>/dev/null
	kill $rough $garbage 2>/dev/null
	load_stop flapping >/dev/null
	wait $rough $garbage 2>/dev/null
}

flap() {
	if [ -n "${nginx_pid[b3]:-}" ]; then
		nginx_kill b3
	else
		nginx_start b3 10.2.0.13:8080 '[fd02::13]:8080'
	fi
}

apply() { # N
	local start took
	config "$1" >"$WORLD/new.yaml"
	start=$(milliseconds)
	ctl config apply "$WORLD/new.yaml" || { fail "apply $1"; return; }
	took=$(($(milliseconds) - start))
	applies=$((applies + 1))
	[ $took -le $applies_slowest ] || applies_slowest=$took
}

# stretch SECONDS: traffic and churn, then a look at the sums.
stretch() {
	local end=$(($(milliseconds) + $1 * 1000)) next
	loads_start
	rough_start
	while next=$(($(milliseconds) + 1000)); [ "$(milliseconds)" -lt $end ]; do
		apply $((applies + 1))
		[ $((RANDOM % 3)) -ne 0 ] || flap
		[ $((RANDOM % 4)) -ne 0 ] ||
			expect ctl --json capture web --write "$WORLD/soak.pcapng" --for 300ms --sample 1/3
		[ $((RANDOM % 4)) -ne 0 ] || expect ctl --json trace --port front --count 5 --for 300ms >/dev/null
		while [ "$(milliseconds)" -lt $next ]; do
			sleep 0.05
		done
	done
	rough_stop
	loads_stop
	expect_balance
	expect_number "malformed packets that were noticed" "$(drops_of web malformed)" -gt 0
}

killed_controld() {
	loads_start
	kill -KILL "${weir_pid[default]}"
	wait "${weir_pid[default]}"
	expect wait_for 10 load_is_flowing short 20
	weir_start || fail "no start after the death of weir-controld"
	expect_within 20 weir_answers default
	loads_stop
}

# serves SECONDS: how long until a request is answered again.
serves() {
	local start took
	start=$(milliseconds)
	expect_within "$1" fetch --max-time 0.5 $URL
	took=$(($(milliseconds) - start))
	[ $took -le $recovery_slowest ] || recovery_slowest=$took
}

killed_dataplane() {
	rough_start
	kill -KILL "$(dataplane_pid)"
	serves 15
	rough_stop
}

killed_both() {
	local dataplane
	dataplane=$(dataplane_pid)
	rough_start
	kill -KILL "${weir_pid[default]}" "$dataplane"
	wait "${weir_pid[default]}"
	expect_within 5 ended "$dataplane"
	weir_start || fail "no start after the death of both"
	serves 20
	rough_stop
}

settled() {
	[ -n "${nginx_pid[b3]:-}" ] || flap
	expect_within 20 weir_answers default
	apply 0
	expect_within 20 backends_up 7
	expect_within 20 fetch "$URL6"
}

with_kills() {
	local end=$(($(milliseconds) + DURATION * 2000 / 3)) which=(controld dataplane both) n=$RANDOM
	while [ "$(milliseconds)" -lt $end ] && [ $case_failed -eq 0 ]; do
		stretch $((4 + RANDOM % 6))
		settled
		"killed_${which[n % 3]}"
		kills[${which[n % 3]}]=$((${kills[${which[n % 3]}]} + 1))
		n=$((n + 1))
		settled
	done
	expect_within 5 as_when_running
}

descriptors() { # PID
	find "/proc/$1/fd" -mindepth 1 | wc -l
}

resident() { # PID: KiB
	awk '/^VmRSS:/ { print $2 }' "/proc/$1/status"
}

heap_free() {
	ctl --json status | jq '[.memory[].free] | add'
}

# Of the port that has the fewest.
buffers_free() {
	ctl --json port list | jq '[.[].buffers.free] | min'
}

# Some are with the device, more or less; what leaks is gone for good.
buffers_are_free() {
	[ "$(buffers_free)" -ge $(($1 - 1024)) ]
}

dataplane_uptime_is() {
	ctl --json status | jq -e --argjson s "$1" '.dataplane.uptime >= $s'
}

# The data plane shows its heap once a second, and its buffers more often.
fresh_figures() {
	expect_within 10 dataplane_uptime_is "$(ctl --json status | jq '.dataplane.uptime + 1.2')"
}

# What was free before is free again, but for what a heap keeps in small pieces: heap_is_free BYTES
heap_is_free() {
	[ "$(heap_free)" -ge $(($1 - 1048576)) ]
}

without_kills() {
	local end=$(($(milliseconds) + DURATION * 1000 / 3)) controld dataplane before heap buffers
	stretch 3
	settled
	controld=${weir_pid[default]}
	dataplane=$(dataplane_pid)
	fresh_figures
	heap=$(heap_free)
	buffers=$(buffers_free)
	before="$(descriptors "$controld") $(descriptors "$dataplane") $(resident "$controld") $(resident "$dataplane")"
	while
		stretch $((DURATION < 100 ? 3 : 8))
		settled
		[ "$(milliseconds)" -lt $end ] && [ $case_failed -eq 0 ]
	do
		:
	done
	expect_within 5 heap_is_free "$heap"
	expect_within 5 buffers_are_free "$buffers"
	expect_eq "weir-controld" "${weir_pid[default]}" "$controld"
	expect_eq "weir-dataplane" "$(dataplane_pid)" "$dataplane"
	# shellcheck disable=SC2086
	set -- $before
	expect_number "descriptors of weir-controld, $1 before" "$(descriptors "$controld")" -le $(($1 + 2))
	expect_number "descriptors of weir-dataplane, $2 before" "$(descriptors "$dataplane")" -le $(($2 + 2))
	expect_number "KiB of weir-controld, $3 before" "$(resident "$controld")" -le $(($3 + 8192))
	# Flow records that are used for the first time cost a page; the budget bounds them.
	expect_number "KiB of weir-dataplane, $4 before" "$(resident "$dataplane")" -le $(($4 + 65536))
	expect_within 5 as_when_running
	echo "# free in the heap: $heap -> $(heap_free) bytes; buffers: $buffers -> $(buffers_free); descriptors $1 -> $(descriptors "$controld")," \
		"$2 -> $(descriptors "$dataplane"); KiB $3 -> $(resident "$controld"), $4 -> $(resident "$dataplane")" >&3
}

ends_clean() {
	expect weir_stop
	expect_within 5 as_before_start
	as_before_start
}

echo "# seed $SEED, $DURATION s" >&3
scenario "with both daemons killed at random, requests succeed whenever the data plane is there" with_kills
scenario "what one life of the processes takes, it gives back" without_kills
scenario "a clean stop leaves nothing behind" ends_clean
echo "# $applies applies (the slowest took $applies_slowest ms), kills: weir-controld ${kills[controld]}," \
	"weir-dataplane ${kills[dataplane]}, both ${kills[both]} (serving again after $recovery_slowest ms at most)," \
	"$requests requests" >&3
finish
