#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# nics: igb:0:front igb:0:front virtio-net-pci:0:back virtio-net-pci:0:back
#
# nat on PCI ports: igb to the clients, virtio to the backends. The kernel's traffic goes by the ports' twins.

# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
begin

UDP=$BUILD/tests/tools/weir-udp

config() {
	local family vip source b
	pci_head front=1 back=2
	echo "services:"
	for family in 4 6; do
		case $family in
		4) vip=198.51.100.10 source=10.2.0.100 b=10.2.0.1 ;;
		6) vip=2001:db8:100::10 source=fd02::100 b=fd02::1 ;;
		esac
		cat <<-END
		  - name: web$family
		    address: "$vip"
		    port: 80
		    protocol: tcp
		    mode: nat
		    source-addresses: ["$source"]
		    health: {type: http, path: /healthz, interval: 2s, timeout: 1500ms, rise: 1, fall: 3}
		    backends:
		      - {address: "${b}1", port: 8080}
		      - {address: "${b}2", port: 8080}
		      - {address: "${b}3", port: 8080}
		  - name: echo$family
		    address: "$vip"
		    port: 9000
		    protocol: udp
		    mode: nat
		    source-addresses: ["$source"]
		    health: {type: none}
		    backends:
		      - {address: "${b}1", port: 9000}
		END
	done
}

require topology_pci_two_armed
for n in 1 2 3; do
	require nginx_start "b$n" "10.2.0.1$n:8080" "[fd02::1$n]:8080"
done
udp_start b1 10.2.0.11 9000
udp_start b1 fd02::11 9000
blob_make 3
config >"$WORLD/default.yaml"
require pci_start front back
require wait_for 300 backends_up 8

ports_are_pci() {
	ctl port list
	ctl port show front
	expect_eq "kind" "$(port_field front .kind)" pci
	expect_eq "driver of front" "$(port_field front .driver)" net_e1000_igb
	expect_eq "driver of back" "$(port_field back .driver)" net_virtio
	expect_eq "node" "$(port_field front .node)" 0
	expect_eq "link" "$(port_field front .link)" true
	expect_eq "steering" "$(port_field front .steering)" dispatcher
	[[ $(port_field front .steering_reason) = *"one packet core"* ]] || fail "no reason for the steering"
	expect_eq "MAC address of the twin" "$(ip -n weir -j link show front | jq -r '.[0].address')" \
		"$(port_field front .mac)"
}

web_answers() { # HOST
	local n answers
	for n in {1..12}; do
		answers+=$(fetch --max-time 20 -D - -o /dev/null "http://$1/" | tr -d '\r' | sed -n 's/^X-Backend: //p')" "
	done
	echo "$answers"
	expect_eq "answers" "$(wc -w <<<"$answers")" 12
}

sees_source() { # HOST SOURCE
	expect_eq "client as the backend sees it" "$(fetch --max-time 20 "http://$1/client")" "$2"
}

big_transfers() { # HOST
	local name
	fetch --max-time 60 -o "$WORLD/got" "http://$1/blob"
	expect cmp "$WORLD/www/blob" "$WORLD/got"
	fetch --max-time 60 -D "$WORLD/headers" -T "$WORLD/www/blob" "http://$1/put/blob"
	name=$(tr -d '\r' <"$WORLD/headers" | sed -n 's/^X-Backend: //p' | tail -n 1)
	expect cmp "$WORLD/www/blob" "$WORLD/nginx-$name/put/blob"
}

udp_comes_back() { # ADDRESS
	expect at client "$UDP" send -f 8 -n 4 -r 50 -w 5 "$1" 9000
	expect at client "$UDP" send -f 4 -n 2 -s 4000 -r 20 -w 5 "$1" 9000
}

# datagrams_send NUMBER right|broken plain|tagged|options: to echo4, in frames of our own making: the kernel sends none
# with a wrong sum.
datagrams_send() {
	at client python3 - "$@" "$(port_field front .mac)" <<-'END'
	import socket, struct, sys
	number, form, mac = int(sys.argv[1]), sys.argv[3], bytes.fromhex(sys.argv[4].replace(":", ""))
	out = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
	out.bind(("eth0", 0))

	def checksum(data):
	    total = sum(struct.unpack(f">{len(data) // 2}H", data))
	    while total >> 16:
	        total = (total & 0xffff) + (total >> 16)
	    return ~total & 0xffff

	options = b"\x01" * 4 if form == "options" else b""
	body = b"x" * 60
	for i in range(number):
	    ip = struct.pack(">BBHHHBBH4s4s", 0x45 + len(options) // 4, 0, 28 + len(options) + len(body), i, 0, 64, 17, 0,
	                     socket.inet_aton("10.1.0.2"), socket.inet_aton("198.51.100.10")) + options
	    total = checksum(ip) ^ (0x0100 if sys.argv[2] == "broken" else 0)
	    ip = ip[:10] + struct.pack(">H", total) + ip[12:]
	    udp = struct.pack(">HHHH", 30000 + i, 9000, 8 + len(body), 0) + body
	    tag = b"\x81\x00\x00\x00" if form == "tagged" else b""
	    out.send(mac + b"\x02\x00\x00\x00\x99\x01" + tag + b"\x08\x00" + ip + udp)
	END
}

dropped_as_malformed() { # NUMBER
	[ "$(drops_of echo4 malformed)" = "$1" ]
}

datagrams_of_b1() {
	at b1 awk '/^Udp: [0-9]/ { print $2 }' /proc/net/snmp
}

b1_has_got() { # DATAGRAMS
	[ "$(datagrams_of_b1)" = "$1" ]
}

# igb checks the sums of headers, virtio does not offer to.
sums_are_the_devices() {
	expect_eq "front" "$(port_field front '.checksums | join(",")')" receive-ipv4
	expect_eq "back" "$(port_field back '.checksums | join(",")')" ""
	ctl port show front | grep -E '^checksums by the device +receive-ipv4$' || fail "port show does not say so"
}

broken_sums_are_dropped() {
	local form dropped got errors
	errors=$(at b1 awk '/^Ip: [0-9]/ { print $5 }' /proc/net/snmp)
	for form in plain options tagged; do
		dropped=$(drops_of echo4 malformed) got=$(datagrams_of_b1)
		datagrams_send 20 broken $form
		expect_within 10 dropped_as_malformed $((dropped + 20))
		datagrams_send 7 right $form
		# What was tagged goes on with its tag, and b1 is on no such network.
		[ $form = tagged ] || expect_within 10 b1_has_got $((got + 7))
		sleep 0.5
		expect_eq "dropped in all, $form" "$(drops_of echo4 malformed)" $((dropped + 20))
	done
	expect_eq "headers that the backend found wrong" "$(at b1 awk '/^Ip: [0-9]/ { print $5 }' /proc/net/snmp)" "$errors"
}

kernel_answers() {
	local address
	for address in 10.1.0.1 198.51.100.10 fd01::1 2001:db8:100::10; do
		expect at client ping -q -c 2 -i 0.2 -W 5 "$address"
		expect at client ping -q -c 1 -s 4000 -W 5 "$address"
	done
	expect at client arping -q -c 1 -w 10 -I eth0 10.1.0.1
	expect_number "packets to the kernel" "$(port_field front .passed_to_kernel)" -ge 10
	expect_number "packets from the kernel" "$(port_field front .from_kernel)" -ge 10
}

# As ssh would: a server of the host's own, and the host as a client.
host_stack_works() {
	nginx_start weir 10.1.0.1:22 198.51.100.10:22
	for host in 10.1.0.1 198.51.100.10; do
		expect_eq "client of $host" "$(fetch --max-time 20 "http://$host:22/client")" 10.1.0.2
	done
	expect_eq "the host as a client" \
		"$(at weir curl -sS --max-time 20 http://10.2.0.11:8080/client)" 10.2.0.1
}

scenario "the ports are PCI devices with poll-mode drivers" ports_are_pci
scenario "IPv4: requests are answered" web_answers 198.51.100.10
scenario "IPv6: requests are answered" web_answers '[2001:db8:100::10]'
scenario "IPv4: the backends see the source address" sees_source 198.51.100.10 10.2.0.100
scenario "IPv6: the backends see the source address" sees_source '[2001:db8:100::10]' fd02::100
scenario "IPv4: a download and an upload arrive unchanged" big_transfers 198.51.100.10
scenario "IPv6: a download and an upload arrive unchanged" big_transfers '[2001:db8:100::10]'
scenario "IPv4: datagrams come back, whole and in fragments" udp_comes_back 198.51.100.10
scenario "IPv6: datagrams come back, whole and in fragments" udp_comes_back 2001:db8:100::10
scenario "the NIC that can checks the sums of headers, and port show says so" sums_are_the_devices
scenario "packets with a wrong header sum are dropped as malformed, right ones are not" broken_sums_are_dropped
scenario "the kernel answers ARP, neighbour discovery and pings through the twin" kernel_answers
scenario "the host is a server and a client through the same NICs" host_stack_works
scenario "all packets are accounted for" expect_balance
finish
