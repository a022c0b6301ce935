#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# nics: igb:0:front igb:0:front virtio-net-pci:0:back virtio-net-pci:0:back e1000e:0:spare vmxnet3:0:spare
#
# Cores that wait for interrupts of PCI devices: which drivers have them, that packets wake a core at once, and what an
# idle core costs then.

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
require nic_to_vfio 4
require nic_to_vfio 5
require nginx_start b1 10.2.0.11:8080

start() { # IDLE CORES PORT=N...
	IDLE=$1 CORES=$2
	export IDLE CORES
	{ pci_head "${@:3}"; services; } >"$WORLD/default.yaml"
	pci_start front back || return 1
	expect_within 60 fetch --max-time 5 -o /dev/null http://198.51.100.10/
}

# CPU seconds of packet cores' threads: worker_seconds CPU...
worker_seconds() {
	local task sum=0 cpu
	for task in /proc/"$(dataplane_pid)"/task/*; do
		for cpu in "$@"; do
			# A packet core's thread is the one that may run on that CPU alone, and is not the main thread's.
			[ "$(awk '/^Cpus_allowed_list/ { print $2 }' "$task/status")" = "$cpu" ] || continue
			sum=$(awk -v s="$sum" -v hz="$(getconf CLK_TCK)" '{ sub(/.*\) /, ""); print s + ($12 + $13) / hz }' "$task/stat")
		done
	done
	echo "$sum"
}

declare -A used median

measure() { # IDLE
	local before
	sleep 1
	before=$(worker_seconds 2 3)
	sleep 3
	used[$1]=$(awk -v a="$before" -v b="$(worker_seconds 2 3)" 'BEGIN { print (b - a) / 3 / 2 }')
	load_start "load-$1" -c 1 -k 0 -n 100 -w 0.02 -t 20 -T 20 http://198.51.100.10/
	load_wait "load-$1"
	expect_no_failures "load-$1"
	median[$1]=$(load_field "load-$1" .p50)
	ctl core list
	ctl --json core show 3 | jq -c .wakeup
	echo "$1: CPU of an idle core ${used[$1]}, median of a request ${median[$1]} s"
}

waits_for_devices() {
	start interrupt "[2, 3]" front=1 back=2 || return 1
	ctl port show front
	ctl port show back
	expect_eq "igb wakes its core" "$(port_field front '.wakes')" true
	expect_eq "virtio wakes its core" "$(port_field back '.wakes')" true
	measure interrupt
	expect_within 30 sums_balance
	weir_stop
}

others_compared() {
	start sleep "[2, 3]" front=1 back=2 || return 1
	expect_eq "front wakes nobody" "$(port_field front .wakes)" null
	measure sleep
	weir_stop
	start spin "[2, 3]" front=1 back=2 || return 1
	measure spin
	weir_stop
	echo "CPU of an idle core: spin ${used[spin]}, sleep ${used[sleep]}, interrupt ${used[interrupt]}"
	echo "median of a request: spin ${median[spin]} s, sleep ${median[sleep]} s, interrupt ${median[interrupt]} s"
	echo "# CPU of an idle core: spin ${used[spin]}, sleep ${used[sleep]}, interrupt ${used[interrupt]}; median of a request:" \
		"spin ${median[spin]} s, sleep ${median[sleep]} s, interrupt ${median[interrupt]} s" >&3
	expect_number "CPU while waiting" "${used[interrupt]}" -lt "${used[sleep]}"
	expect_number "CPU while waiting" "${used[interrupt]}" -lt 0.2
	expect_number "CPU while spinning" "${used[spin]}" -gt 0.5
}

# With one core, and all of them on it: whatever has no interrupts says so, and all goes on.
others_say_so() {
	local port
	start interrupt "[2]" front=1 back=2 e1000e=4 vmxnet3=5 || return 1
	for port in front back e1000e vmxnet3; do
		echo "# $port: driver $(port_field $port .driver), wakes $(port_field $port .wakes)," \
			"reason $(port_field $port .wakes_reason)" >&3
		expect_number "an answer or a reason" "$(port_field $port \
			'if .wakes == true or (.wakes == false and (.wakes_reason | length) > 5) then 1 else 0 end')" -eq 1
	done
	for _ in {1..5}; do
		expect fetch --max-time 20 -o /dev/null http://198.51.100.10/
	done
	expect at client ping -q -c 3 -i 0.3 -W 5 10.1.0.1
	expect_within 30 sums_balance
	weir_stop
}

scenario "igb and virtio wake cores that wait, and requests are answered" waits_for_devices
scenario "an idle core costs less than one that sleeps, and far less than one that spins" others_compared
scenario "every driver wakes its core or says why not" others_say_so
finish
