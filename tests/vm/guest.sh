#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# nics: igb:0:a e1000e:0:a virtio-net-pci:1:b vmxnet3:1:b
#
# The emulated server itself, without Weir: when this fails, no other result means anything.

# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
begin

two_nodes() {
	expect_eq "nodes" "$(cat /sys/devices/system/node/online)" 0-1
	expect_eq "CPUs of node 1" "$(cat /sys/devices/system/node/node1/cpulist)" 2-3
	expect_eq "distance" "$(cat /sys/devices/system/node/node0/distance)" "10 21"
}

nics_are_found() {
	nics_find
	for n in 0 1 2 3; do
		expect_eq "node of nic$n" "$(cat "/sys/bus/pci/devices/$(nic_address $n)/numa_node")" $((n / 2))
	done
}

peers_reach_each_other() { # N N
	local pair=pair$1
	ns_add "$pair-l"
	ns_add "$pair-r"
	nic_to_namespace "$1" "$pair-l"
	nic_to_namespace "$2" "$pair-r"
	addr_add "$pair-l" eth0 10.9.0.1/24
	addr_add "$pair-r" eth0 10.9.0.2/24
	expect_within 20 at "$pair-l" ping -q -c 1 -W 1 10.9.0.2
}

cable_can_be_pulled() {
	machine set_link nic2 off
	expect_within 10 carrier_is pair2-l 0
	machine set_link nic2 on
	expect_within 10 carrier_is pair2-l 1
}

carrier_is() { # NS 0|1
	[ "$(ip -n "$1" link show eth0 | grep -c LOWER_UP)" = "$2" ]
}

driver_can_be_taken() {
	at pair0-l ip link set eth0 netns 1
	expect nic_to_vfio 0
	expect test -e "/dev/vfio/$(basename "$(readlink "/sys/bus/pci/devices/$(nic_address 0)/iommu_group")")"
}

scenario "there are two nodes" two_nodes
scenario "there are NICs on both" nics_are_found
scenario "igb and e1000e reach each other" peers_reach_each_other 0 1
scenario "virtio and vmxnet3 reach each other" peers_reach_each_other 2 3
scenario "a cable can be pulled and put back" cable_can_be_pulled
scenario "a NIC can be given to vfio-pci" driver_can_be_taken
finish
