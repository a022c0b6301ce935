#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# A narrow link on the way to the client, and nobody but ICMP to tell the backends: the router before it
# tells the service's address, and Weir has to tell the backend that the flow is on.

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
begin

NARROW=1300

# client -- (narrow) router -- switch -- weir, b1, b2, b3
topology() {
	topology_one_switch
	ns_add router
	plug_in router far lan
	addr_add router far 10.1.0.9/24 fd01::9/64
	ns_add away
	link_add away eth0 router narrow
	addr_add router narrow 10.9.0.1/24 fd09::1/64
	addr_add away eth0 10.9.0.2/24 fd09::2/64
	# Only on the router's side: the client offers segments for 1500, and takes them.
	ip -n router link set narrow mtu $NARROW
	at router sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
	ip -n away route add default via 10.9.0.1
	ip -n away route add default via fd09::1
	for n in weir b1 b2 b3; do
		ip -n $n route add 10.9.0.0/24 via 10.1.0.9
		ip -n $n route add fd09::/64 via fd01::9
	done
}

config() {
	local family mode b port
	config_head front=front
	echo "services:"
	for family in 4 6; do
		[ $family = 4 ] && b=10.1.0.1 || b=fd01::1
		for mode in nat dsr; do
			[ $mode = nat ] && port=8080 || port=80
			cat <<-END
			  - name: $mode$family
			    address: "$(address $family $mode)"
			    port: 80
			    protocol: tcp
			    mode: $mode
			    health: {type: none}
			    backends:
			      - {address: "${b}1", port: $port}
			      - {address: "${b}2", port: $port}
			      - {address: "${b}3", port: $port}
			END
			[ $mode = dsr ] || echo "    source-addresses: [\"$(address $family source)\"]"
		done
	done
}

address() { # FAMILY nat|dsr|source
	local last=110
	[ "$2" != nat ] || last=120
	[ "$2" != source ] || last=130
	[ "$1" = 4 ] && echo "10.1.0.$last" || echo "fd01::$last"
}

require topology
dsr_addresses 10.1.0.110 fd01::110
for n in 1 2 3; do
	require nginx_start "b$n" 0.0.0.0:80 '[::]:80' 0.0.0.0:8080 '[::]:8080'
done
blob_make 3
config >"$WORLD/default.yaml"
require weir_start

# Somebody has learned that the way to ADDRESS is narrow.
learned() { # ADDRESS
	local n
	for n in b1 b2 b3; do
		ip -n $n route get "$1" 2>/dev/null | grep -q "mtu $NARROW" && return
	done
	return 1
}

download_arrives() { # MODE FAMILY
	local host peer n
	host=$(address "$2" "$1")
	[ "$2" = 4 ] || host="[$host]"
	# Whom the backend sends to: the client, or Weir.
	peer=$([ "$2" = 4 ] && echo 10.9.0.2 || echo fd09::2)
	[ "$1" = dsr ] || peer=$(address "$2" source)
	expect_not learned "$peer"
	for n in 1 2 3 4; do
		at away curl -sS --fail --max-time 20 -o "$WORLD/got" "http://$host/blob" || fail "download $n"
		expect cmp "$WORLD/www/blob" "$WORLD/got"
	done
	expect learned "$peer"
	no_drops_but "$1$2" || fail "drops: $(service_field "$1$2" .dropped)"
}

for family in 4 6; do
	for mode in nat dsr; do
		scenario "IPv$family $mode: a download through a narrow link works" \
			download_arrives $mode $family
	done
done
scenario "all packets are accounted for" expect_balance
finish
