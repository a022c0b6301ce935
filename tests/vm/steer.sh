#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# nics: igb:0:front igb:0:front virtio-net-pci:0:back virtio-net-pci:0:back
#
# Steering by NICs: what they offer is asked for, what they promise is checked, and the outcome is the same. The
# igb driver takes flow rules; the virtio one takes none.

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
	ctl port show back
	expect_eq "queues of front" "$(port_field front .queues.receive)" 2
	expect_eq "steering of front" "$(port_field front .steering)" hardware
	expect_eq "steering of back" "$(port_field back .steering)" dispatcher
	[[ $(port_field back .steering_reason) = *"flow rule"* || $(port_field back .steering_reason) = *queue* ]] ||
		fail "no reason for the steering of back"
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
came_directly() {
	ctl --json core list | tee /dev/stderr >"$WORLD/cores.json"
	ctl port show front
	ctl events
	expect_number "packets at the worker" "$(jq '.[] | select(.cpu == 1) | .packets' "$WORLD/cores.json")" -gt 50
}

sums() {
	expect_within 30 sums_balance
}

scenario "port show says what each NIC can do" says_what_it_does
scenario "requests are answered" fetches
scenario "the worker has its packets" came_directly
scenario "packet sums balance" sums
finish
