#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# The PROXY protocol in nat: real nginx learns who its clients are, and nothing is lost or doubled, also
# where packets are lost.

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
begin

config() { # [KIND]
	config_head front=front back=back
	echo "services:"
	local family vip source b
	for family in 4 6; do
		case $family in
		4) vip=198.51.100.10 source=10.2.0.100 b=10.2.0.11 ;;
		6) vip=2001:db8:100::10 source=fd02::100 b=fd02::11 ;;
		esac
		cat <<-END
		  - name: web$family
		    address: "$vip"
		    port: 80
		    protocol: tcp
		    mode: nat
		    source-addresses: ["$source"]
		    proxy-protocol: ${1:-v2}
		    health: {type: http, path: /healthz, interval: 500ms, timeout: 450ms, rise: 1, fall: 4}
		    backends:
		      - {address: "$b", port: ${2:-8081}}
		  - name: greet$family
		    address: "$vip"
		    port: 25
		    protocol: tcp
		    mode: nat
		    source-addresses: ["$source"]
		    proxy-protocol: v2
		    health: {type: tcp, interval: 500ms, timeout: 450ms, rise: 1, fall: 4}
		    backends:
		      - {address: "$b", port: 2525}
		END
	done
}

# A server that speaks first, as for mail: it says what the PROXY header told it, before the client has
# sent anything, then echoes to the end.
greeter_start() {
	start_at b1 python3 -c '
import socket, struct, threading

def exactly(s, n):
    data = b""
    while len(data) < n:
        more = s.recv(n - len(data))
        if not more:
            raise EOFError
        data += more
    return data

def serve(s):
    with s:
        try:
            head = exactly(s, 16)
            rest = exactly(s, struct.unpack(">H", head[14:])[0])
        except (EOFError, ConnectionError):
            return
        if head[:12] != b"\r\n\r\n\0\r\nQUIT\n":
            s.sendall(b"500 no PROXY header\n")
            return
        if head[12] == 0x20:
            return
        half = (len(rest) - 4) // 2
        family = socket.AF_INET if half == 4 else socket.AF_INET6
        s.sendall(("220 %s\n" % socket.inet_ntop(family, rest[:half])).encode())
        while data := s.recv(65536):
            s.sendall(data)

listener = socket.create_server(("::", 2525), family=socket.AF_INET6, dualstack_ipv6=True, backlog=100)
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
' &
}

require topology_two_armed
require nginx_start b1 10.2.0.11:8080 '[fd02::11]:8080' '10.2.0.11:8081 proxy_protocol' '[fd02::11]:8081 proxy_protocol'
greeter_start
blob_make 20
config >"$WORLD/default.yaml"
require weir_start
require wait_for 10 backends_up 4

# lose NAMESPACE RULE...: what nftables drops there of what comes in; lose_nothing takes all back.
lose() {
	local ns=$1
	shift
	at "$ns" nft "add table inet loss; add chain inet loss in { type filter hook input priority 0; };
		add rule inet loss in $* counter drop"
}

lost() { # NAMESPACE: packets
	at "$1" nft -j list table inet loss | jq '[.. | .counter? // empty | .packets] | add // 0'
}

lose_nothing() {
	local ns
	for ns in client b1; do
		at $ns nft delete table inet loss 2>/dev/null
	done
	return 0
}

knows_the_client() { # HOST SERVICE-ADDRESS CLIENT-ADDRESS...
	local host=$1 vip=$2 address said
	shift 2
	for address in "$@"; do
		said=$(fetch --interface "$address" --local-port 41000-42000 "http://$host/proxied")
		echo "$said"
		expect_eq "client and service" "$(cut -d ' ' -f 1,3,4 <<<"$said")" "$address $vip 80"
		expect_number "port" "$(cut -d ' ' -f 2 <<<"$said")" -ge 41000
	done
}

big_transfers() { # HOST
	fetch --max-time 60 -o "$WORLD/got" "http://$1/blob"
	expect cmp "$WORLD/www/blob" "$WORLD/got"
	rm -f "$WORLD/nginx-b1/put/blob"
	fetch --max-time 60 -T "$WORLD/www/blob" "http://$1/put/blob"
	expect cmp "$WORLD/www/blob" "$WORLD/nginx-b1/put/blob"
}

many_connections() { # HOST
	load_start many -c 16 -n 2000 "http://$1/"
	load_wait many
	expect_no_failures many
}

greets_first() { # ADDRESS CLIENT-ADDRESS
	# shellcheck disable=SC2016
	expect_eq "greeting and echo" "$(at client timeout 20 bash -c '
		exec 3<>"/dev/tcp/$1/25"
		read -r line <&3
		echo "hello" >&3
		read -r echo <&3
		echo "$line / $echo"' bash "$1")" "220 $2 / hello"
}

# Each packet that brings the header the first time is lost once: TCP sends it again.
header_lost() { # HOST ADDRESS CLIENT-ADDRESS BYTES-OF-THE-PACKET
	local n start
	lose b1 tcp dport "{ 8081, 2525 }" meta length "$4" numgen inc mod 2 0
	for n in 1 2 3; do
		expect_eq "client" "$(fetch "http://$1/proxied" | cut -d ' ' -f 1)" "$3"
		greets_first "$2" "$3"
	done
	expect_number "packets lost" "$(lost b1)" -ge 3
	lose_nothing
}

lossy_transfers() { # HOST
	lose b1 tcp dport 8081 tcp flags "& (syn | rst)" == 0 numgen inc mod 37 5
	lose client tcp sport 80 numgen inc mod 41 7
	load_start lossy -c 8 -n 300 -t 60 -T 30 "http://$1/proxied"
	load_wait lossy
	expect_no_failures lossy
	big_transfers "$1"
	echo "lost: $(lost b1) to the backend, $(lost client) to the client"
	expect_number "packets lost" "$(lost b1)" -ge 50
	expect_number "packets lost" "$(lost client)" -ge 50
	lose_nothing
}

fast_open() {
	at client sysctl -qw net.ipv4.tcp_fastopen=5 # also without a cookie
	at b1 sysctl -qw net.ipv4.tcp_fastopen=0x602
	fetch --tcp-fastopen "http://198.51.100.10/proxied" # may ask for a cookie
	expect_eq "client" "$(fetch --tcp-fastopen "http://198.51.100.10/proxied" | cut -d ' ' -f 1)" 10.1.0.2
	expect_eq "client" "$(fetch --tcp-fastopen "http://[2001:db8:100::10]/proxied" | cut -d ' ' -f 1)" fd01::2
}

close_at_once() {
	# Neither must keep a flow half open: each ends with FIN or RST of both sides.
	local n
	for n in {1..5}; do
		at client bash -c 'exec 3<>/dev/tcp/198.51.100.10/80; exec 3>&-'
	done
	expect_within 15 test "$(ctl --json flow list web4 | jq '[.[] | select(.state != "closing")] | length')" = 0
}

# A flow that has begun goes on as it began, whatever is said for new ones.
switched_off_and_on() {
	local pid
	# shellcheck disable=SC2016
	start_at client timeout 60 bash -c '
		exec 3<>/dev/tcp/198.51.100.10/80
		printf "GET /proxied HTTP/1.1\r\nHost: web\r\n\r\n" >&3
		while read -r line <&3 && [[ $line != 10.* ]]; do :; done
		touch "$1.begun"
		until [ -e "$1.go" ]; do sleep 0.05; done
		printf "GET /proxied HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\r\n" >&3
		cat <&3 >"$1"' bash "$WORLD/long" &
	pid=$!
	expect_within 10 test -e "$WORLD/long.begun"
	config none 8080 >"$WORLD/off.yaml"
	# The backend that wants a header stays for its flows; a check without one can only connect to it.
	sed -i 's|type: http, path: /healthz|type: tcp|' "$WORLD/off.yaml"
	sed -i 's|^      - {address: "\(.*\)", port: 8080}|&\n      - {address: "\1", port: 8081, weight: 0}|' "$WORLD/off.yaml"
	expect ctl config apply "$WORLD/off.yaml"
	expect_within 10 backend_state_is web4 10.2.0.11:8080 up
	expect_eq "client without the header" "$(fetch http://198.51.100.10/client)" 10.2.0.100
	touch "$WORLD/long.go"
	wait $pid
	expect grep -q "^10.1.0.2 " "$WORLD/long"
	expect ctl config apply "$WORLD/default.yaml"
	expect_within 10 backend_state_is web4 10.2.0.11:8081 up
	knows_the_client 198.51.100.10 198.51.100.10 10.1.0.2
}

scenario "IPv4: nginx knows client and service by address and port" \
	knows_the_client 198.51.100.10 198.51.100.10 10.1.0.2 10.1.0.3 10.1.0.6
scenario "IPv6: nginx knows client and service by address and port" \
	knows_the_client '[2001:db8:100::10]' 2001:db8:100::10 fd01::2 fd01::3 fd01::6
scenario "IPv4: a server that speaks first gets the header at once" greets_first 198.51.100.10 10.1.0.2
scenario "IPv6: a server that speaks first gets the header at once" greets_first 2001:db8:100::10 fd01::2
scenario "IPv4: 20 MB arrive unchanged in both directions" big_transfers 198.51.100.10
scenario "IPv6: 20 MB arrive unchanged in both directions" big_transfers '[2001:db8:100::10]'
scenario "IPv4: no request of many connections fails" many_connections 198.51.100.10
scenario "IPv6: no request of many connections fails" many_connections '[2001:db8:100::10]'
# IP, TCP with timestamps, and the header.
scenario "IPv4: the packet with the header is lost, and comes again" \
	header_lost 198.51.100.10 198.51.100.10 10.1.0.2 80
scenario "IPv6: the packet with the header is lost, and comes again" \
	header_lost '[2001:db8:100::10]' 2001:db8:100::10 fd01::2 124
scenario "IPv4: nothing is changed where packets are lost in both directions" lossy_transfers 198.51.100.10
scenario "IPv6: nothing is changed where packets are lost in both directions" lossy_transfers '[2001:db8:100::10]'
scenario "data on a SYN comes behind the header" fast_open
scenario "connections that end at once end on both sides" close_at_once
scenario "known flows go on as they began when it is switched off and on" switched_off_and_on
scenario "no packet was dropped for want of room" no_drops_but web4 neighbour_unresolved no_flow no_backend
scenario "all packets are accounted for" expect_balance
finish
