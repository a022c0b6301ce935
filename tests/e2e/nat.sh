#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# The main job in nat mode: real programs through two arms, IPv4 and IPv6, and what is not a service's.

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
begin

UDP=$BUILD/tests/tools/weir-udp

config() {
	config_head front=front back=back
	cat <<-'END'
	services:
	END
	local family vip near source b
	for family in 4 6; do
		case $family in
		4) vip=198.51.100.10 near=10.1.0.100 source=10.2.0.100 b=10.2.0.1 ;;
		6) vip=2001:db8:100::10 near=fd01::100 source=fd02::100 b=fd02::1 ;;
		esac
		cat <<-END
		  - name: web$family
		    address: "$vip"
		    port: 80
		    protocol: tcp
		    mode: nat
		    source-addresses: ["$source"]
		    health: {type: http, path: /healthz, interval: 200ms, timeout: 150ms, rise: 1, fall: 2}
		    backends:
		      - {address: "${b}1", port: 8080}
		      - {address: "${b}2", port: 8080}
		      - {address: "${b}3", port: 8080}
		  - name: near$family
		    address: "$near"
		    port: 80
		    protocol: tcp
		    mode: nat
		    source-addresses: ["$source"]
		    health: {type: tcp, interval: 200ms, timeout: 150ms}
		    backends:
		      - {address: "${b}2", port: 8080}
		  - name: echo$family
		    address: "$vip"
		    port: 9000
		    protocol: udp
		    mode: nat
		    source-addresses: ["$source"]
		    health: {type: none}
		    backends:
		      - {address: "${b}1", port: 9000}
		      - {address: "${b}2", port: 9000}
		      - {address: "${b}3", port: 9000}
		  - name: closed$family
		    address: "$vip"
		    port: 9001
		    protocol: udp
		    mode: nat
		    source-addresses: ["$source"]
		    health: {type: none}
		    backends:
		      - {address: "${b}1", port: 9001}
		  - name: iperf$family
		    address: "$vip"
		    port: 5201
		    protocol: tcp
		    mode: nat
		    source-addresses: ["$source"]
		    health: {type: none}
		    backends:
		      - {address: "${b}3", port: 5201}
		END
	done
}

require topology_two_armed
for n in 1 2 3; do
	require nginx_start "b$n" "10.2.0.1$n:8080" "[fd02::1$n]:8080"
	udp_start "b$n" "10.2.0.1$n" 9000
	udp_start "b$n" "fd02::1$n" 9000
done
iperf_start b3 :: 5201
blob_make 20
config >"$WORLD/default.yaml"
require weir_start
# Three web backends, the one near, three UDP and one iperf, in two families.
require wait_for 10 backends_up 18

web_answers() { # HOST
	local n answers
	for n in {1..30}; do
		answers+=$(fetch -D - -o /dev/null "http://$1/" | tr -d '\r' | sed -n 's/^X-Backend: //p')" "
	done
	echo "$answers"
	expect_eq "answers" "$(wc -w <<<"$answers")" 30
	for n in b1 b2 b3; do
		[[ $answers = *$n* ]] || fail "$n never answered"
	done
}

sees_source() { # HOST SOURCE
	expect_eq "client as the backend sees it" "$(fetch "http://$1/client")" "$2"
}

big_transfers() { # HOST
	fetch --max-time 30 -o "$WORLD/got" "http://$1/blob"
	expect cmp "$WORLD/www/blob" "$WORLD/got"
	fetch --max-time 30 -D "$WORLD/headers" -T "$WORLD/www/blob" "http://$1/put/blob"
	local name
	name=$(tr -d '\r' <"$WORLD/headers" | sed -n 's/^X-Backend: //p' | tail -n 1)
	expect cmp "$WORLD/www/blob" "$WORLD/nginx-$name/put/blob"
	rm -f "$WORLD/nginx-$name/put/blob"
}

many_connections() { # HOST
	load_start many -c 16 -n 3000 "http://$1/"
	load_wait many
	expect_no_failures many
	load_start keep -c 16 -n 10000 -k 0 "http://$1/"
	load_wait keep
	expect_no_failures keep
}

iperf_runs() { # ADDRESS
	local direction
	for direction in "" -R; do
		at client timeout 15 iperf3 -c "$1" -t 1 $direction -J >"$WORLD/iperf.json" || {
			jq -c '.error' "$WORLD/iperf.json"
			fail "iperf3 $direction"
			continue
		}
		expect_number "bits per second $direction" \
			"$(jq .end.sum_received.bits_per_second "$WORLD/iperf.json")" -gt 10e6
	done
}

udp_comes_back() { # ADDRESS
	at client "$UDP" send -f 64 -n 20 -r 4000 "$1" 9000 >"$WORLD/udp.json" || fail "UDP"
	cat "$WORLD/udp.json"
	expect_eq "servers" "$(jq '.servers | length' "$WORLD/udp.json")" 3
	expect at client "$UDP" send -s 1400 "$1" 9000
	expect at client "$UDP" send -s 44 "$1" 9000
}

fragments_come_back() { # ADDRESS SERVICE
	expect at client "$UDP" send -f 16 -n 5 -s 4000 "$1" 9000
	expect at client "$UDP" send -f 2 -n 5 -s 9000 "$1" 9000
	expect_eq "dropped fragments" "$(drops_of "$2" fragment)" 0
	# Without the first one nothing comes, and it is counted when its time is over.
	at client python3 - "$1" <<-'END'
		import socket, struct, sys
		six = ":" in sys.argv[1]
		if six:  # the kernel's raw sockets write no fragment header: a whole IPv6 packet
		    s = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW)
		    head = struct.pack("!IHBB", 6 << 28, 8 + 64, 44, 64)
		    ends = socket.inet_pton(socket.AF_INET6, "fd01::2") + socket.inet_pton(socket.AF_INET6, sys.argv[1])
		    s.sendto(head + ends + struct.pack("!BBHI", 17, 0, 800, 77) + b"x" * 64, (sys.argv[1], 0))
		else:
		    s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
		    head = struct.pack("!BBHHHBBH", 0x45, 0, 84, 77, 100, 64, 17, 0)
		    ends = socket.inet_aton("10.1.0.2") + socket.inet_aton(sys.argv[1])
		    s.sendto(head + ends + b"x" * 64, (sys.argv[1], 0))
	END
	expect_within 5 orphan_is_counted "$2"
}

orphan_is_counted() { # SERVICE: one of those with the address
	[ "$(ctl --json service list | jq --arg f "${1: -1}" \
		'[.[] | select((.name | endswith($f)) and .protocol == "udp") | .dropped.fragment] | add')" = 1 ]
}

kernel_answers() { # SERVICE-ADDRESS NEAR-ADDRESS HOST-ADDRESS SOURCE
	local address
	for address in "$@"; do
		[ "$address" != - ] || continue
		expect at client ping -q -c 2 -i 0.05 -W 1 "$address"
		expect at client ping -q -c 1 -s 4000 -W 1 "$address"
	done
}

arp_answers() {
	expect at client arping -q -c 1 -w 2 -I eth0 10.1.0.100
	# Not ours: nobody may answer.
	expect_not at client arping -q -c 1 -w 1 -I eth0 10.1.0.101
	ip -n client -6 neigh flush dev eth0
	expect at client ping -q -c 1 -W 2 fd01::100
	expect_not at client ping -q -c 1 -W 1 fd01::101
}

host_stack_works() {
	# An ssh-like server of the host itself, also on a service's address at another port.
	nginx_start weir 10.1.0.1:22 198.51.100.10:22 '[2001:db8:100::10]:22' '[fd01::1]:22'
	for host in 10.1.0.1 198.51.100.10 '[2001:db8:100::10]' '[fd01::1]'; do
		expect_eq "client of $host" "$(fetch "http://$host:22/client")" \
			"$([[ $host = *:* ]] && echo fd01::2 || echo 10.1.0.2)"
	done
	# As a client, through the same ports.
	expect_eq "the host as a client" \
		"$(at weir curl -sS --max-time 5 http://10.2.0.11:8080/client)" 10.2.0.1
	# UDP in fragments to the host itself, also on addresses that it shares with services.
	for host in 10.1.0.1 198.51.100.10 2001:db8:100::10; do
		udp_start weir "$host" 7000
		wait_for 5 at client "$UDP" send -f 1 -n 1 -w 0.1 "$host" 7000
		expect at client "$UDP" send -f 2 -n 3 -s 4000 "$host" 7000
	done
}

closed_port_is_the_kernels() {
	local start
	start=$(milliseconds)
	expect_not fetch http://198.51.100.10:81/
	expect_number "milliseconds until the refusal" $(($(milliseconds) - start)) -lt 1000
}

dying_packets() {
	at client sysctl -qw net.ipv4.ip_default_ttl=1
	expect_not fetch --max-time 1 http://198.51.100.10/
	at client sysctl -qw net.ipv4.ip_default_ttl=64
	expect_number "drops" "$(drops_of web4 ttl_expired)" -ge 1
	expect_number "errors that the client got" \
		"$(at client nstat -asz IcmpInTimeExcds | awk '/TimeExcds/ { print $2 }')" -ge 1
}

front_mtu_is() { # MTU
	[ "$(ctl --json port show front | jq .mtu)" = "$1" ]
}

# The client's link takes less than the backends': nobody but Weir can tell them.
front_is_narrow() {
	local host
	ip -n weir link set front mtu 1300
	expect_within 3 front_mtu_is 1300
	for host in 198.51.100.10 '[2001:db8:100::10]'; do
		fetch --max-time 20 -o "$WORLD/got" "http://$host/blob"
		expect cmp "$WORLD/www/blob" "$WORLD/got"
	done
	expect_number "errors that Weir sent" "$(ctl --json port show back | jq .originated)" -ge 2
	expect_number "IPv4 drops" "$(drops_of web4 too_big)" -ge 1
	expect_number "IPv6 drops" "$(drops_of web6 too_big)" -ge 1
	ip -n weir link set front mtu 1500
	expect_within 3 front_mtu_is 1500
}

# A UDP client learns at once that nobody listens, from the service's address.
refusal_is_told() {
	expect at client python3 - "$1" <<-'END'
		import socket, sys
		s = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)
		s.settimeout(5)
		s.connect((sys.argv[1], 9001))
		s.send(b"anybody?")
		try:
		    s.recv(100)
		except ConnectionRefusedError:
		    sys.exit(0)
		sys.exit("no refusal")
	END
}

ttl_is_decremented() {
	at b2 sysctl -qw net.ipv4.ip_default_ttl=2
	expect_eq "answer with one hop left" "$(fetch http://10.1.0.100/client)" 10.2.0.100
	at b2 sysctl -qw net.ipv4.ip_default_ttl=1
	expect_not fetch --max-time 1 http://10.1.0.100/
	at b2 sysctl -qw net.ipv4.ip_default_ttl=64
}

kernel_agrees() {
	local port
	for port in front back; do
		expect_within 2 received_matches_kernel $port $port
		received_matches_kernel $port $port
	done
}

for host in 198.51.100.10 '[2001:db8:100::10]'; do
	case $host in
	*:*) family=IPv6 source=fd02::100 ;;
	*) family=IPv4 source=10.2.0.100 ;;
	esac
	bare=${host#[}
	bare=${bare%]}
	scenario "$family: web requests reach all three backends" web_answers "$host"
	scenario "$family: a backend sees the source address" sees_source "$host" $source
	scenario "$family: 20 MB arrive unchanged in both directions" big_transfers "$host"
	scenario "$family: no request of many connections fails" many_connections "$host"
	scenario "$family: iperf3 runs in both directions" iperf_runs "$bare"
	scenario "$family: every UDP datagram comes back unchanged" udp_comes_back "$bare"
	scenario "$family: datagrams in fragments come back unchanged" \
		fragments_come_back "$bare" "echo$([ $family = IPv4 ] && echo 4 || echo 6)"
done
scenario "a service on the client's own network answers over IPv4" sees_source 10.1.0.100 10.2.0.100
scenario "a service on the client's own network answers over IPv6" sees_source '[fd01::100]' fd02::100
scenario "the kernel answers pings, also in fragments, over IPv4" \
	kernel_answers 198.51.100.10 10.1.0.100 10.1.0.1
scenario "the kernel answers pings, also in fragments, over IPv6" \
	kernel_answers 2001:db8:100::10 fd01::100 fd01::1
scenario "ARP and neighbour discovery answer for service addresses and for no other" arp_answers
scenario "the host's own servers and clients go on" host_stack_works
scenario "a port that is no service's is refused by the kernel" closed_port_is_the_kernels
scenario "a packet whose time to live ends here is dropped and counted" dying_packets
scenario "the time to live is decremented" ttl_is_decremented
scenario "IPv4: a port that is closed on the backend is refused to the client" refusal_is_told 198.51.100.10
scenario "IPv6: a port that is closed on the backend is refused to the client" refusal_is_told 2001:db8:100::10
scenario "downloads go on when the client's link becomes narrow" front_is_narrow
scenario "all packets are accounted for" expect_balance
scenario "Weir received what the kernel handed to it" kernel_agrees
finish
