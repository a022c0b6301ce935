#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Limits per source on real traffic, and limits that are set while it passes.

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
begin

config() { # LIMITS
	config_head front=front back=back
	cat <<-END
	services:
	  - name: web
	    address: 198.51.100.10
	    port: 80
	    protocol: tcp
	    mode: nat
	    source-addresses: [10.2.0.100]
	    limits: $1
	    health: {type: none}
	    backends:
	      - {address: 10.2.0.11, port: 8080}
	END
}

apply() { # LIMITS
	config "$1" >"$WORLD/new.yaml"
	ctl config apply "$WORLD/new.yaml"
}

require topology_two_armed
require nginx_start b1 10.2.0.11:8080
config '{}' >"$WORLD/default.yaml"
require weir_start
require wait_for 10 backends_up 1

# flood SECONDS RATE: SYNs of random sources, from the client's interface; how many on standard output
flood() {
	at client python3 - "$1" "$2" "$(ip -n weir -j link show front | jq -r '.[].address')" <<-'END'
	import random, socket, struct, sys, time
	seconds, rate, mac = float(sys.argv[1]), float(sys.argv[2]), bytes.fromhex(sys.argv[3].replace(":", ""))
	out = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
	out.bind(("eth0", 0))
	target = socket.inet_aton("198.51.100.10")

	def checksum(data):
	    total = sum(struct.unpack(f">{len(data) // 2}H", data))
	    while total >> 16:
	        total = (total & 0xffff) + (total >> 16)
	    return ~total & 0xffff

	sent, start = 0, time.monotonic()
	while (now := time.monotonic() - start) < seconds:
	    while sent < now * rate:
	        source = struct.pack(">I", random.randrange(0x20000000, 0x60000000))
	        ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 40, 0, 0, 64, 6, 0, source, target)
	        ip = ip[:10] + struct.pack(">H", checksum(ip)) + ip[12:]
	        tcp = struct.pack(">HHIIBBHHH", random.randrange(1024, 65536), 80, 1, 0, 0x50, 2, 1024, 0, 0)
	        pseudo = source + target + struct.pack(">HH", 6, len(tcp))
	        tcp = tcp[:16] + struct.pack(">H", checksum(pseudo + tcp)) + tcp[18:]
	        out.send(mac + b"\x02\x00\x00\x00\x99\x01\x08\x00" + ip + tcp)
	        sent += 1
	    time.sleep(0.002)
	print(sent)
	END
}

# One source opens 200 connections a second and another 20, to a limit of 50 for each. What is refused
# is silence, and the client's kernel tries again after a second: those count as new again.
one_source_is_not_the_other() {
	local before opened
	expect apply '{per-source: {connections: 50, burst: 100ms}}'
	before=$(service_field web .new_flows)
	load_start greedy -s 10.1.0.3 -c 2000 -r 200 -t 4 -T 0.9 http://198.51.100.10/
	load_start modest -s 10.1.0.4 -c 100 -r 20 -t 4 -T 0.9 http://198.51.100.10/
	load_wait modest
	load_wait greedy
	expect_no_failures modest
	expect_number "failures of the greedy one" "$(load_field greedy .failed)" -ge 300
	opened=$(($(service_field web .new_flows) - before - $(load_field modest .ok)))
	expect_number "flows of the greedy one in 4 to 5 s" "$opened" -ge 190
	expect_number "flows of the greedy one in 4 to 5 s" "$opened" -le 265
	expect_number "drops" "$(drops_of web source_connections)" -ge 300
	expect_eq "drops by the service's own limit" "$(drops_of web limit_connections)" 0
}

# A client that was served before goes on beside a flood of made-up addresses.
flood_of_made_up_sources() {
	local sent refused flooder
	expect apply '{connections: 500, per-source: {connections: 20, burst: 200ms, entries: 1024}}'
	expect fetch http://198.51.100.10/ --interface 10.1.0.5
	expect_within 3 known_sources 1
	refused=$(($(drops_of web source_connections) + $(drops_of web limit_connections)))
	flood 4 2000 >"$WORLD/flood.count" &
	flooder=$!
	expect_within 5 drops_grow "$refused"
	load_start good -s 10.1.0.5 -c 4 -r 15 -t 2 http://198.51.100.10/
	load_wait good
	expect_no_failures good
	wait "$flooder"
	sent=$(cat "$WORLD/flood.count")
	refused=$(($(drops_of web source_connections) + $(drops_of web limit_connections) - refused))
	expect_number "SYNs of the flood" "$sent" -ge 4000
	# 1024 find places, and 16 groups may open 20 a second each.
	expect_number "of them refused" "$refused" -ge $((sent - 1024 - 16 * 20 * 5 - 16 * 4))
	expect_eq "places" "$(service_field web .sources.entries)" 1024
	expect_number "places taken" "$(service_field web .sources.tracked)" -ge 1000
	expect_number "judged together" "$(service_field web .sources.overflow)" -gt 0
}

known_sources() { # COUNT
	[ "$(service_field web .sources.known)" -ge "$1" ]
}

drops_grow() { # FROM
	[ $(($(drops_of web source_connections) + $(drops_of web limit_connections))) -gt "$1" ]
}

limit() { # JQ
	ctl --json limit show web | jq -c "$1"
}

set_at_once() {
	expect apply '{packets: 100k}'
	expect ctl limit set web packets 0
	expect_not fetch --max-time 1 http://198.51.100.10/
	expect_eq "packets" "$(limit .packets)" '{"configured":100000,"in_force":0}'
	expect ctl limit set web packets 50k
	expect fetch http://198.51.100.10/
	expect ctl limit set web per-source.connections 0
	expect_not fetch --max-time 1 http://198.51.100.10/
	expect_eq "per source" "$(limit .per_source.connections)" '{"configured":null,"in_force":0}'
	expect ctl limit set web per-source.connections none
	expect_eq "per source" "$(limit .per_source)" null
	expect fetch http://198.51.100.10/
}

refused_changes_nothing() {
	local before
	before=$(limit .)
	expect_not ctl limit set web packets fast
	expect_not ctl limit set web speed 5
	expect_not ctl limit set nobody packets 5
	expect_eq "limits" "$(limit .)" "$before"
	expect_eq "message" "$(ctl limit set web packets fast 2>&1 | grep -c 'packets: "fast" is not a number')" 1
}

shown_everywhere() {
	expect_eq "warnings" "$(ctl --json status | jq '[.warnings[] | select(contains("set by hand"))] | length')" 1
	expect_eq "text" "$(ctl config show 2>/dev/null)" "$(cat "$WORLD/new.yaml")"
	expect_eq "note" "$(ctl config show 2>&1 >/dev/null | grep -c 'packets of service web is 50k')" 1
	expect_eq "difference" "$(ctl config diff "$WORLD/new.yaml")" "~ services.web.limits.packets: 50k -> 100k"
	expect_number "events" "$(ctl --json events | jq '[.[] | select(.kind == "limit")] | length')" -ge 4
}

survives() {
	kill -KILL "${weir_pid[default]}"
	wait "${weir_pid[default]}" 2>/dev/null
	require weir_start
	expect_eq "after the daemon" "$(limit .packets.in_force)" 50000
	kill -KILL "$(dataplane_pid)"
	expect_within 10 fetch --max-time 1 http://198.51.100.10/
	expect_eq "after the data plane" "$(limit .packets)" '{"configured":100000,"in_force":50000}'
	expect ctl limit set web packets 0
	expect_not fetch --max-time 1 http://198.51.100.10/
}

taken_back() {
	expect ctl config apply "$WORLD/new.yaml"
	expect_eq "packets" "$(limit .packets)" '{"configured":100000,"in_force":100000}'
	# The backend still has the flood's half open connections, on translated ports of before the restart.
	expect_within 15 fetch --max-time 1 http://198.51.100.10/
	expect_eq "limits set" "$(ctl --json config show | jq -c .limits_set)" '[]'
	# To set what the file says is no change.
	expect ctl limit set web packets 5k
	expect ctl limit set web packets 100k
	expect_eq "limits set" "$(ctl --json config show | jq -c .limits_set)" '[]'
}

scenario "a source over its limit is no other's loss" one_source_is_not_the_other
scenario "a known client goes on beside a flood of made-up sources" flood_of_made_up_sources
scenario "a limit is set at once" set_at_once
scenario "a limit that is refused changes nothing" refused_changes_nothing
scenario "a limit set by hand is shown, and the configuration's text stays" shown_everywhere
scenario "a limit set by hand outlives the daemon, and the data plane" survives
scenario "the next apply takes it back" taken_back
scenario "all packets are accounted for" expect_balance
finish
