#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# nics: igb:0:front igb:0:front virtio-net-pci:0:back virtio-net-pci:0:back
#
# Cores that wait for interrupts of PCI devices: the drivers of igb and virtio have them, and packets wake a core.

# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
begin

services() {
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

require topology_pci_two_armed
require nginx_start b1 10.2.0.11:8080

start() { # IDLE CORES PORT=N...
	IDLE=$1 CORES=$2
	export IDLE CORES
	{ pci_head "${@:3}"; services; } >"$WORLD/default.yaml"
	weir_launch
	wait_for 60 weir_answers default || { tail -n 20 "$WORLD"/controld-default.log; return 1; }
	pci_addresses front back
	expect_within 60 fetch --max-time 5 -o /dev/null http://198.51.100.10/
}

waits_for_devices() {
	start interrupt "[2, 3]" front=1 back=2 || return 1
	ctl port show front
	ctl port show back
	expect_eq "igb wakes its core" "$(port_field front '.wakes')" true
	expect_eq "virtio wakes its core" "$(port_field back '.wakes')" true
	load_start load -c 1 -k 0 -n 100 -w 0.02 -t 20 -T 20 http://198.51.100.10/
	load_wait load
	expect_no_failures load
	ctl core list
	ctl --json core show 3 | jq -c .wakeup
	expect_within 30 sums_balance
	weir_stop
}

scenario "igb and virtio wake cores that wait, and requests are answered" waits_for_devices
finish
