#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# nics: igb:0:front igb:0:front virtio-net-pci:0:back virtio-net-pci:0:back
#
# Cores that move, in the real process: a dispatcher and two workers on three CPUs, and buckets that go from one
# worker to the other while clients ask. First on PCI ports, then on AF_XDP ports over plain cables.

# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
begin

services() { # BACKENDS
	local n
	cat <<-END
	services:
	  - name: web
	    address: 198.51.100.10
	    port: 80
	    protocol: tcp
	    mode: nat
	    cores: 2
	    source-addresses: [10.2.0.100]
	    health: {type: none}
	    backends:
	END
	for ((n = 1; n <= $1; n++)); do
		echo "      - {address: 10.2.0.1$n, port: 8080}"
	done
}

require topology_pci_two_armed
for n in 1 2; do
	require nginx_start "b$n" "10.2.0.1$n:8080"
done
blob_make 2
{ CORES="[1-3]" pci_head front=1 back=2; services 2; } >"$WORLD/default.yaml"
require pci_start front back
require wait_for 300 fetch --max-time 5 http://198.51.100.10/

core_has() { # CPU BUCKETS
	[ "$(service_field web ".buckets[\"$1\"] // 0")" = "$2" ]
}

moves() {
	ctl --json events | jq '[.[] | select(.kind == "core" and .object == "web")] | length'
}

spread_over_two() {
	ctl core list
	expect_eq "cores of the service" "$(service_field web '.cores | tojson')" "[2,3]"
	expect_eq "buckets" "$(service_field web '.buckets | tojson')" '{"2":128,"3":128}'
}

# Back and forth, while some clients connect anew for each request, some stay connected, and one downloads.
moves_under_load() {
	local before n half
	before=$(moves)
	load_start new -c 4 -t 12 -T 20 http://198.51.100.10/
	load_start stay -c 4 -k 0 -t 12 -T 20 http://198.51.100.10/
	(for n in {1..3}; do fetch --max-time 60 http://198.51.100.10/blob | cmp - "$WORLD/www/blob" || exit 1; done) &
	local download=$!
	for n in 1 2 3; do
		half=$((RANDOM % 128))
		expect ctl core move web --all 2 3
		expect_within 10 core_has 3 256
		expect ctl core move web "0-$half" 3 2
		expect_within 10 core_has 2 $((half + 1))
		expect ctl core move web --all 3 2
		expect_within 10 core_has 2 256
		expect ctl core move web 128-255 2 3
		expect_within 10 core_has 3 128
	done
	expect wait $download
	load_wait new
	load_wait stay
	expect_no_failures new
	expect_no_failures stay
	expect no_drops_but web
	expect_eq "events of moves" $(($(moves) - before)) 12
	ctl --json core list | jq -c '.[] | {cpu, packets, services}'
	expect_number "packets of the busier and the other worker" \
		"$(ctl --json core list | jq '[.[] | select(.services == ["web"]) | .packets] | min')" -ge 100
}

# The same hosts, joined by plain cables; the NICs are let go of.
over_cables() {
	local ns
	weir_stop
	for ns in client b1; do
		ip -n $ns link set eth0 down
		ip -n $ns link set eth0 name nic
		ip -n $ns addr flush dev nic
	done
	link_add client eth0 weir front
	link_add weir back b1 eth0
	client_addresses
	addr_add weir front 10.1.0.1/24 fd01::1/64
	addr_add weir back 10.2.0.1/24
	addr_add b1 eth0 10.2.0.11/24
	{ CORES="[1-3]" config_head front=front back=back; services 1; } >"$WORLD/default.yaml"
	weir_launch
	wait_for 60 weir_answers default || return 1
	expect_within 60 fetch --max-time 5 http://198.51.100.10/
	expect_eq "kind of the port" "$(port_field front .kind)" kernel
}

sums() {
	expect_within 30 sums_balance
}

scenario "a service of two cores has half its buckets on each" spread_over_two
scenario "on PCI ports, buckets move while clients ask, and no request fails" moves_under_load
scenario "packet sums balance" sums
scenario "the same host takes up AF_XDP ports" over_cables
scenario "on AF_XDP ports, buckets move while clients ask, and no request fails" moves_under_load
scenario "packet sums balance" sums
finish
