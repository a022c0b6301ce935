#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# nics: virtio-net-pci:0:front igb:0:front igb:0:back virtio-net-pci:0:back
#
# A port on a virtual function whose physical one is reset by the host: the port has to be set up anew, whether its driver
# says so or not. The other port does not notice.

# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
begin

config() {
	pci_head front=9 back=2
	cat <<-END
	services:
	  - name: web
	    address: 198.51.100.10
	    port: 80
	    protocol: tcp
	    mode: nat
	    source-addresses: [10.2.0.100]
	    health: {type: none}
	    backends:
	      - {address: 10.2.0.11, port: 8080}
	END
}

# client (nic0) -- a virtual function of nic1 | weir | nic2 -- nic3 (b1); the physical function stays the host's.
vf_topology() {
	local pf path
	nics_find
	ns_add client
	ns_add weir
	ns_add lan
	pf=$(cat "$WORLD/nic1.if")
	ip link set "$pf" up
	echo 1 >"/sys/bus/pci/devices/$(nic_address 1)/sriov_numvfs" || return 1
	path=$(readlink "/sys/bus/pci/devices/$(nic_address 1)/virtfn0") || return 1
	basename "$path" >"$WORLD/nic9"
	ip link set "$pf" vf 0 mac 52:54:00:00:00:99 || return 1
	ip link set "$pf" vf 0 trust on
	nic_to_namespace 0 client
	nic_to_namespace 3 lan
	nic_to_vfio 9 || return 1
	nic_to_vfio 2 || return 1
	client_addresses
	backend_add b1
	addr_add b1 eth0 10.2.0.11/24 fd02::11/64
}

require vf_topology
require nginx_start b1 10.2.0.11:8080
config >"$WORLD/default.yaml"
require pci_start front back

serves() {
	ctl port show front
	expect_eq "driver" "$(port_field front .driver)" net_e1000_igb_vf
	expect_within 100 fetch --max-time 5 -o /dev/null http://198.51.100.10/
}

is_reset() {
	local resets pf
	pf=$(cat "$WORLD/nic1.if")
	other_port_begin back http://10.2.0.11:8080/
	for resets in 1 2; do
		ip link set "$pf" down
		ip link set "$pf" up
		expect_within 30 resets_are "$resets"
		expect_within 60 port_link_is front true
		expect_within 60 fetch --max-time 5 -o /dev/null http://198.51.100.10/
	done
	ctl events
	other_port_end
	expect has_event front "is back"
}

resets_are() { # COUNT, at least
	[ "$(ctl --json events | jq '[.[] | select(tostring | contains("closed and opened again"))] | length')" -ge "$1" ]
}

sums() {
	expect_within 30 sums_balance
}

scenario "a virtual function serves" serves
scenario "its physical one is reset: the port is set up anew and serves, and the other port does not notice" is_reset
scenario "packet sums balance" sums
finish
