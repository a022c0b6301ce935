#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# nics: igb:0:front igb:0:front igb:0:back igb:0:back
#
# Steering by NICs: what they offer is asked for, what they promise is checked, and the outcome is the same. The
# igb driver takes flow rules; the emulated device behind it does not follow them.

# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
begin

config() {
	CORES="[0, 1]" pci_head front=1 back=2
	cat <<-END
	services:
	  - name: web
	    address: 198.51.100.10
	    port: 80
	    protocol: tcp
	    mode: nat
	    source-addresses: [10.2.0.100]
	    health: {type: http, path: /healthz, interval: 2s, timeout: 1500ms, rise: 1, fall: 3}
	    backends:
	      - {address: 10.2.0.11, port: 8080}
	      - {address: 10.2.0.12, port: 8080}
	END
}

require topology_pci_two_armed
for n in 1 2; do
	require nginx_start "b$n" "10.2.0.1$n:8080"
done
blob_make 1
config >"$WORLD/default.yaml"
require pci_start front back
require wait_for 300 backends_up 2

says_what_it_does() {
	ctl port list
	ctl port show front
	expect_eq "queues of front" "$(port_field front .queues.receive)" 2
	expect_eq "steering of front" "$(port_field front .steering)" hardware
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
	[ "$(port_field "$1" .steering)" = dispatcher ] &&
		[[ $(port_field "$1" .steering_reason) = *"does not follow them"* ]]
}

says_so() {
	ctl --json events | jq -e '.. | objects | select(.kind? == "warning") |
		select(tostring | contains("came to the dispatcher"))'
}

# The emulated NIC takes rules by address and port, and goes on as before. Nothing was lost by that, as seen above.
is_not_believed() {
	expect_within 10 found_out front
	expect_within 10 found_out back
	expect_within 10 says_so
	ctl port show front
	expect_number "packets at the worker" "$(ctl --json core list | jq '.[] | select(.cpu == 1) | .packets')" -gt 100
}

sums() {
	expect_within 30 sums_balance
}

scenario "port show says what each NIC can do" says_what_it_does
scenario "requests are answered" fetches
scenario "a NIC that does not do what it was told is found out" is_not_believed
scenario "requests are answered as before" fetches
scenario "packet sums balance" sums
finish
