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
scenario "the kernel answers ARP, neighbour discovery and pings through the twin" kernel_answers
scenario "the host is a server and a client through the same NICs" host_stack_works
scenario "all packets are accounted for" expect_balance
finish
