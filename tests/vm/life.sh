#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# nics: virtio-net-pci:0:lan igb:0:lan virtio-net-pci:0:lan
#
# What happens to a PCI port: its MTU and link change, its data plane is killed, its device is pulled.

# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
begin

config() { # PORT=N
	pci_head "$1"
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
before=$(traces)
config front=1 >"$WORLD/default.yaml"
require pci_start front
require wait_for 300 fetch http://10.1.0.110/

mtu_is() { # PORT MTU
	[ "$(port_field "$1" .mtu)" = "$2" ]
}

mtu_is_followed() {
	ip -n weir link set front mtu 1400
	expect_within 10 mtu_is front 1400
	ip -n weir link set front mtu 1500
	expect_within 10 mtu_is front 1500
	# More than it can take is set back, with a word.
	ip -n weir link set front mtu 9000
	expect_within 10 has_event front "an MTU of 9000 cannot be set"
	expect_eq "MTU of the twin" "$(ip -n weir -j link show front | jq '.[0].mtu')" 1500
}

link_goes_and_comes() {
	machine set_link nic1 off
	expect_within 20 port_link_is front false
	expect_within 5 twin_has_carrier front 0
	machine set_link nic1 on
	expect_within 20 port_link_is front true
	expect_within 5 twin_has_carrier front 1
	expect has_event front "link is down"
	expect has_event front "link is up"
	expect_within 30 fetch --max-time 5 http://10.1.0.110/
}

twin_has_carrier() { # PORT 0|1
	[ "$(ip -n weir link show "$1" | grep -c LOWER_UP)" = "$2" ]
}

# A data plane that is killed comes back to the same interfaces, with the host's addresses still on them.
killed_and_back() {
	local pid
	pid=$(dataplane_pid)
	kill -KILL "$pid"
	expect_within 60 other_dataplane "$pid"
	expect_within 60 port_link_is front true
	expect_eq "address" "$(ip -n weir -j addr show front | jq -r '.[0].addr_info[] | select(.family == "inet") | .local')" 10.1.0.1
	expect_within 60 fetch --max-time 5 http://10.1.0.110/
	expect at client ping -q -c 2 -i 0.2 -W 5 10.1.0.1
}

other_dataplane() { # PID
	local now
	now=$(dataplane_pid)
	[ "$now" != null ] && [ -n "$now" ] && [ "$now" != "$1" ]
}

# Both killed: what is left of them is taken away by the next one that does not want it.
nothing_is_left() {
	local left
	weir_stop
	left=$(traces)
	expect_eq "what is left" "$left" "$before"
	require pci_start front
	kill -KILL "${weir_pid[default]}" "$(dataplane_pid)"
	wait "${weir_pid[default]}" 2>/dev/null
	expect ip -n weir link show front
	config other=1 >"$WORLD/default.yaml"
	require pci_start other
	expect_within 30 gone front
	weir_stop
	expect_eq "what is left" "$(traces)" "$before"
}

# Orderly, as by the slot's button: the kernel asks, Weir lets go, the rest of it goes on.
device_is_pulled() {
	machine device_del nic1
	expect_within 60 has_event front "is being removed"
	expect_within 60 nic_is_gone 1
	expect port_link_is front false
	expect at weir ip link show front
	sleep 3 # the slot's power goes off a second later; what is plugged before that is not seen
	machine "device_add igb,id=nic1,bus=rp1,netdev=n1,mac=52:54:00:00:00:01"
	expect_within 60 nic_to_vfio 1
	expect_within 60 port_link_is front true
	expect has_event front "is back"
	expect_within 60 fetch --max-time 5 http://10.1.0.110/
}

gone() { # INTERFACE
	! ip -n weir link show "$1"
}

scenario "the MTU of the twin is the port's" mtu_is_followed
scenario "a link that goes down and comes back is followed" link_goes_and_comes
scenario "a device that is pulled is let go of, and taken up again when it is back" device_is_pulled
scenario "a killed data plane comes back to its interface, and the addresses are there" killed_and_back
scenario "all packets are accounted for" expect_balance
scenario "nothing is left at the end, nor by who was killed" nothing_is_left
finish
