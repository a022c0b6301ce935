#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# nics: virtio-net-pci:1:lan igb:1:lan virtio-net-pci:1:lan
#
# Two nodes, and a NIC on node 1: where memory is, as the kernel says, and what happens when cores are far from it.

# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
begin

config() {
	pci_head front=1
	cat <<-END
	services:
	  - name: web
	    address: 10.1.0.110
	    port: 80
	    protocol: tcp
	    mode: dsr
	    health: {type: none}
	    backends:
	      - {address: 10.1.0.11, port: 80}
	END
}

require topology_pci_one_switch
dsr_addresses 10.1.0.110
require nginx_start b1 0.0.0.0:80
CORES="[3]" MEMORY=128M config >"$WORLD/default.yaml"
require pci_start front
require wait_for 300 fetch --max-time 5 http://10.1.0.110/

# Pages of the data plane's hugepages by node, as the kernel counts them: huge_pages N
huge_pages() {
	awk -v n="N$1=" '/huge/ { for (i = 1; i <= NF; i++) if (index($i, n) == 1) sum += substr($i, 4) }
		END { print sum + 0 }' "/proc/$(dataplane_pid)/numa_maps"
}

memory_total() { # NODE
	ctl --json status | jq --argjson n "$1" '[.memory[] | select(.node == $n) | .total] | add // 0'
}

far_warnings() {
	ctl --json status | jq '[.warnings[] | select(contains("each packet crosses"))] | length'
}

all_is_near() {
	ctl status
	ctl core list
	expect_eq "node of the port" "$(port_field front .node)" 1
	expect_eq "node of the core" "$(ctl --json core list | jq '.[0].node')" 1
	expect_eq "distance" "$(ctl --json core list | jq '.[0].distance.front')" 10
	expect_eq "warnings" "$(far_warnings)" 0
	expect_number "areas that were looked at" "$(ctl --json status | jq .placement.areas)" -ge 10
	expect_eq "areas that are elsewhere" "$(ctl --json status | jq .placement.elsewhere)" 0
	expect_number "hugepages on node 1" "$(huge_pages 1)" -ge 8
	expect_eq "hugepages on node 0" "$(huge_pages 0)" 0
	expect_number "memory on node 1" "$(memory_total 1)" -ge 16000000
}

# Everything again on CPUs of the other node: it says so, and works.
cores_are_far() {
	weir_stop
	CORES="[1]" MEMORY=128M config >"$WORLD/default.yaml"
	require pci_start front
	expect_within 60 fetch --max-time 5 http://10.1.0.110/
	ctl status
	expect_eq "distance" "$(ctl --json core list | jq '.[0].distance.front')" 21
	expect_eq "warnings" "$(far_warnings)" 2
	expect_number "areas that were looked at" "$(ctl --json status | jq .placement.areas)" -ge 10
	for n in 1 2 3; do
		expect fetch --max-time 20 http://10.1.0.110/
	done
	# The service's tables are on its core's node, whatever node the port is on.
	expect_number "hugepages on node 0" "$(huge_pages 0)" -ge 8
	expect_number "hugepages on both" "$(memory_total 0)" -ge 16000000
}

# A dispatcher near the port, a worker on each node: the one that is near is taken first.
near_is_first() {
	weir_stop
	CORES="[0,2,3]" MEMORY=128M config >"$WORLD/default.yaml"
	require pci_start front
	expect_within 60 fetch --max-time 5 http://10.1.0.110/
	ctl core list
	expect_eq "CPU of the service" "$(ctl --json core list | jq -c '[.[] | select(.services == ["web"]) | .cpu]')" "[2]"
	expect_eq "areas that are elsewhere" "$(ctl --json status | jq .placement.elsewhere)" 0
}

scenario "with cores on the NIC's node, the kernel says that all memory is there" all_is_near
scenario "with cores on the other node it warns, and works" cores_are_far
scenario "a service gets a core on the NIC's node first" near_is_first
scenario "all packets are accounted for" expect_balance
finish
