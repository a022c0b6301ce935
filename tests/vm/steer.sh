#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# nics: virtio-net-pci:0:lan igb:0:lan virtio-net-pci:0:lan virtio-net-pci:0:spare
#
# Steering by NICs: what they offer is asked for, what they promise is checked, and the outcome is the same. The
# igb driver takes flow rules; the emulated device behind it does not follow them. The other port takes none: that is no
# reason not to look at this one. All hosts are on one network, so clients' packets and replies come by it.

# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
begin

config() { # [WEIGHT]
	CORES="[0, 1]" pci_head front=1 spare=3
	cat <<-END
	services:
	  - name: web
	    address: 198.51.100.10
	    port: 80
	    protocol: tcp
	    mode: nat
	    source-addresses: [10.1.0.100]
	    health: {type: http, path: /healthz, interval: 2s, timeout: 1500ms, rise: 1, fall: 3}
	    backends:
	      - {address: 10.1.0.11, port: 8080}
	      - {address: 10.1.0.12, port: 8080, weight: ${1:-100}}
	END
}

require topology_pci_one_switch
require nic_to_vfio 3
for n in 1 2; do
	require nginx_start "b$n" "10.1.0.1$n:8080"
done
blob_make 1
config >"$WORLD/default.yaml"
require pci_start front
require wait_for 300 backends_up 2

says_what_it_does() {
	ctl port list
	ctl port show front
	expect_eq "queues of front" "$(port_field front .queues.receive)" 2
	expect_eq "steering of front" "$(port_field front .steering)" hardware
	expect_eq "steering of spare" "$(port_field spare .steering)" dispatcher
}

# No client has come yet: backends were asked for replies, and those did not arrive where they should.
return_path_is_tried() {
	expect_within 30 reason_has front "clients' packets of 0 services and replies of 1"
	expect_within 5 warnings_are front 1
	expect_eq "steering of front" "$(port_field front .steering)" hardware
	expect_eq "packets of clients" "$(ctl --json service show web | jq '.packets_received - .packets_from_backends')" 0
	expect_number "answers" "$(ctl --json service show web | jq .dropped.no_flow)" -ge 64
}

reason_has() { # PORT TEXT
	[[ $(port_field "$1" .steering_reason) = *"$2"* ]]
}

fetches() {
	local n
	for n in {1..8}; do
		expect fetch --max-time 20 -o /dev/null http://198.51.100.10/
	done
	fetch --max-time 60 -o "$WORLD/got" http://198.51.100.10/blob
	expect cmp "$WORLD/www/blob" "$WORLD/got"
}

# Packets of clients that came to the worker's core by themselves.
found_out() {
	[ "$(port_field "$1" .steering)" = dispatcher ] && reason_has "$1" "does not follow them"
}

warnings() { # PORT
	ctl --json events | jq --arg port "$1" '[.. | objects | select(.kind? == "warning") |
		select(tostring | contains($port) and contains("came to the dispatcher"))] | length'
}

warnings_are() { # PORT COUNT
	[ "$(warnings "$1")" = "$2" ]
}

# The emulated NIC takes rules by address and port, and goes on as before. Nothing was lost by that, as seen above.
is_not_believed() {
	expect_within 10 found_out front
	# One for each direction.
	expect_within 10 warnings_are front 2
	ctl port show front
	expect_number "packets at the worker" "$(ctl --json core list | jq '.[] | select(.cpu == 1) | .packets')" -gt 100
}

# The rules are not even set again, so there is nothing to find out.
stays_so() {
	config 50 >"$WORLD/new.yaml"
	expect ctl config apply "$WORLD/new.yaml"
	expect found_out front
	fetches
	sleep 1
	expect found_out front
	expect warnings_are front 2
}

# A NIC that comes back may be another one.
is_asked_again() {
	machine device_del nic1
	expect_within 60 nic_is_gone 1
	sleep 3 # the slot's power goes off a second later; what is plugged before that is not seen
	machine "device_add igb,id=nic1,bus=rp1,netdev=n1,mac=52:54:00:00:00:01"
	expect_within 60 nic_to_vfio 1
	expect_within 60 port_link_is front true
	expect_within 10 steers front
	expect_within 60 fetch --max-time 5 -o /dev/null http://198.51.100.10/
	fetches
	expect_within 10 found_out front
	expect_within 10 warnings_are front 4
}

steers() { # PORT
	[ "$(port_field "$1" .steering)" = hardware ]
}

sums() {
	expect_within 30 sums_balance
}

scenario "port show says what each NIC can do" says_what_it_does
scenario "the return path is tried before clients come" return_path_is_tried
scenario "requests are answered" fetches
scenario "a NIC that does not do what it was told is found out" is_not_believed
scenario "requests are answered as before" fetches
scenario "a new configuration does not make it forgotten" stays_so
scenario "packet sums balance" sums
scenario "a NIC that was pulled and is back is asked again" is_asked_again
finish
