#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# ipip and gue: backends that are a router away. They take the outer headers off (decap.bpf.c) and answer
# the clients themselves; a router of a narrower link stands for an operator's real network.

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
begin

UDP=$BUILD/tests/tools/weir-udp

# client, weir and router on one switch; behind the router b1, b2, b3
topology() {
	local n
	switch_add lan
	switch_add far
	ns_add client
	ns_add weir
	ns_add router
	plug_in client eth0 lan
	plug_in weir front lan
	plug_in router near lan
	plug_in router far far
	client_addresses
	addr_add weir front 10.1.0.1/24 fd01::1/64
	addr_add router near 10.1.0.9/24 fd01::9/64
	addr_add router far 10.2.0.1/24 fd02::1/64
	at router sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
	ip -n weir route add 10.2.0.0/24 via 10.1.0.9
	ip -n weir route add fd02::/64 via fd01::9
	for n in 1 2 3; do
		ns_add "b$n"
		plug_in "b$n" eth0 far
		addr_add "b$n" eth0 "10.2.0.1$n/24" "fd02::1$n/64"
		ip -n "b$n" route add default via 10.2.0.1
		ip -n "b$n" route add default via fd02::1
		ip -n "b$n" link set eth0 xdp object "$BUILD/tests/e2e/decap.o" section xdp || return
	done
}

config() {
	local family mode vip b source
	config_head front=front
	echo "services:"
	for mode in ipip gue; do
		for family in 4 6; do
			[ $family = 4 ] && b=10.2.0.1 source=10.1.0.1 || { b=fd02::1 source=fd01::1; }
			vip=$(address $mode $family)
			cat <<-END
			  - name: $mode$family
			    address: "$vip"
			    port: 80
			    protocol: tcp
			    mode: $mode
			    source-addresses: ["$source"]
			    health: {type: http, path: /healthz, interval: 200ms, timeout: 150ms, rise: 1, fall: 2}
			    backends: [{address: "${b}1"}, {address: "${b}2"}, {address: "${b}3"}]
			  - name: echo-$mode$family
			    address: "$vip"
			    port: 9000
			    protocol: udp
			    mode: $mode
			    source-addresses: ["$source"]
			    health: {type: none}
			    backends: [{address: "${b}1"}, {address: "${b}2"}]
			END
		done
	done
}

address() { # MODE FAMILY
	local last=110
	[ "$1" = ipip ] || last=120
	[ "$2" = 4 ] && echo "10.1.0.$last" || echo "fd01::$last"
}

url() { # MODE FAMILY
	[ "$2" = 4 ] && echo "http://$(address "$1" 4)" || echo "http://[$(address "$1" 6)]"
}

require topology
addresses=("$(address ipip 4)" "$(address gue 4)" "$(address ipip 6)" "$(address gue 6)")
dsr_addresses "${addresses[@]}"
for n in 1 2 3; do
	require nginx_start "b$n" 0.0.0.0:80 '[::]:80'
	for a in "${addresses[@]}"; do
		udp_start "b$n" "$a" 9000
	done
done
blob_make 10
config >"$WORLD/default.yaml"
require weir_start
require wait_for 10 backends_up 20

web_answers() { # MODE FAMILY
	local n answers client=10.1.0.2
	[ "$2" = 4 ] || client=fd01::2
	for n in {1..30}; do
		answers+=$(fetch -D - -o /dev/null "$(url "$1" "$2")/" | tr -d '\r' | sed -n 's/^X-Backend: //p')" "
	done
	expect_eq "answers" "$(wc -w <<<"$answers")" 30
	for n in b1 b2 b3; do
		[[ $answers = *$n* ]] || fail "$n never answered"
	done
	expect_eq "client as the backend sees it" "$(fetch "$(url "$1" "$2")/client")" "$client"
}

# Requests to all four, and what passes the router's far side meanwhile.
capture() {
	local dump url
	start_at router tshark -q -l -n -i far -w "$WORLD/far.pcapng" >"$WORLD/tshark.log" 2>&1 &
	dump=$!
	expect_within 20 grep -q "Capture started" "$WORLD/tshark.log"
	sleep 0.5
	for url in "$(url ipip 4)" "$(url ipip 6)" "$(url gue 4)" "$(url gue 6)"; do
		expect fetch -o /dev/null "$url/"
	done
	sleep 0.5
	stop_pid $dump INT
}

seen() { # FILTER FIELD...: the fields of the packets, each line once
	local filter=$1 field fields=()
	shift
	for field in "$@"; do fields+=(-e "$field"); done
	tshark -n -o udp.check_checksum:TRUE -o ip.check_checksum:TRUE -r "$WORLD/far.pcapng" -Y "$filter" \
		-T fields "${fields[@]}" 2>/dev/null | sort -u
}

expect_seen() { # PATTERN FILTER FIELD...
	local pattern=$1 lines
	shift
	lines=$(seen "$@")
	echo "$lines"
	[[ $lines =~ ^$pattern$ ]] || fail "$1: other than $pattern"
}

tshark_sees_ipip() {
	capture
	expect_seen $'10.1.0.1,10.1.0.2\t10.2.0.1[123],10.1.0.110\t80\t1,1' "ip.proto == 4" \
		ip.src ip.dst tcp.dstport ip.checksum.status
	expect_seen $'fd01::1,fd01::2\tfd02::1[123],fd01::110\t80' "ipv6.nxt == 41" ipv6.src ipv6.dst tcp.dstport
}

# Status 1: good; 3: there is none.
tshark_sees_gue() {
	expect_seen $'10.1.0.1\t10.2.0.1[123]\t3\t1' "udp.dstport == 6080 && ip" \
		ip.src ip.dst udp.checksum.status ip.checksum.status
	expect_seen $'fd01::1\tfd02::1[123]\t1' "udp.dstport == 6080 && ipv6" ipv6.src ipv6.dst udp.checksum.status
}

# Segments of 1500 bytes do not fit: the client is told, and the upload goes on in smaller ones.
upload_arrives() { # MODE FAMILY
	local name
	fetch --max-time 30 -D "$WORLD/headers" -T "$WORLD/www/blob" "$(url "$1" "$2")/put/blob"
	name=$(tr -d '\r' <"$WORLD/headers" | sed -n 's/^X-Backend: //p' | tail -n 1)
	expect cmp "$WORLD/www/blob" "$WORLD/nginx-$name/put/blob"
	expect_number "packets that did not fit" "$(drops_of "$1$2" too_big)" -ge 1
}

many_connections() { # MODE FAMILY
	load_start many -c 16 -n 2000 "$(url "$1" "$2")/"
	load_wait many
	expect_no_failures many
}

udp_comes_back() { # ADDRESS
	at client "$UDP" send -f 64 -n 20 -r 4000 "$1" 9000 >"$WORLD/udp.json" || fail "UDP"
	cat "$WORLD/udp.json"
	expect_eq "servers" "$(jq '.servers | length' "$WORLD/udp.json")" 2
}

death_is_noticed() {
	nginx_kill b3
	expect_within 3 backend_state_is gue4 10.2.0.13:80 down
	load_start dead -c 8 -n 300 "$(url gue 4)/"
	load_wait dead
	expect_no_failures dead
	nginx_start b3 0.0.0.0:80 '[::]:80'
	expect_within 3 backends_up 20
}

shown() {
	local pid
	expect_eq "mode" "$(ctl service list --json | jq -r '[.[].mode] | unique | join(" ")')" "gue ipip"
	ctl trace ipip4 --count 3 >"$WORLD/trace" &
	pid=$!
	sleep 0.5
	load -c 1 -n 20 "$(url ipip 4)/" >/dev/null
	expect_within 5 ended $pid
	cat "$WORLD/trace"
	expect grep -q '10\.2\.0\.1[123]' "$WORLD/trace"
}

for family in 4 6; do
	for mode in ipip gue; do
		scenario "IPv$family $mode: all backends answer, and see the client's own address" web_answers $mode $family
		scenario "IPv$family $mode: an upload arrives in packets that fit" upload_arrives $mode $family
		scenario "IPv$family $mode: no request of many connections fails" many_connections $mode $family
		scenario "IPv$family $mode: every UDP datagram is answered" udp_comes_back "$(address $mode $family)"
	done
done
scenario "tshark sees the client's packet inside one from Weir to the backend" tshark_sees_ipip
scenario "tshark sees it behind UDP, with right checksums" tshark_sees_gue
scenario "after a dead backend is noticed no request fails" death_is_noticed
scenario "lists and traces know these services" shown
scenario "all packets are accounted for" expect_balance
scenario "Weir received what the kernel handed to it" expect_within 2 received_matches_kernel front front
finish
