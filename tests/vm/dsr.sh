#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# nics: e1000e:0:lan vmxnet3:0:lan virtio-net-pci:0:lan
#
# dsr on a PCI port with one arm: vmxnet3, which has a poll-mode driver of its own, among other makers' NICs.

# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
begin

config() {
	local family b
	pci_head front=1
	echo "services:"
	for family in 4 6; do
		b=$([ $family = 4 ] && echo 10.1.0.1 || echo fd01::1)
		cat <<-END
		  - name: web$family
		    address: "${b}10"
		    port: 80
		    protocol: tcp
		    mode: dsr
		    health: {type: none}
		    backends:
		      - {address: "${b}1", port: 80}
		      - {address: "${b}2", port: 80}
		END
	done
}

require topology_pci_one_switch
dsr_addresses 10.1.0.110 fd01::110
for n in 1 2; do
	require nginx_start "b$n" 0.0.0.0:80 '[::]:80'
done
blob_make 3
config >"$WORLD/default.yaml"
require pci_start front
require wait_for 300 fetch http://10.1.0.110/
require wait_for 300 fetch 'http://[fd01::110]/'

port_is_pci() {
	ctl port show front
	expect_eq "driver" "$(port_field front .driver)" net_vmxnet3
	expect_eq "link" "$(port_field front .link)" true
}

web_answers() { # HOST SOURCE
	local n answers
	for n in {1..12}; do
		answers+=$(fetch --max-time 20 -D - -o /dev/null "http://$1/" | tr -d '\r' | sed -n 's/^X-Backend: //p')" "
	done
	echo "$answers"
	expect_eq "answers" "$(wc -w <<<"$answers")" 12
	expect_eq "client as the backend sees it" "$(fetch --max-time 20 "http://$1/client")" "$2"
}

answers_go_past() { # HOST SERVICE
	local before after
	before=$(service_field "$2" .bytes_transmitted)
	fetch --max-time 60 -o "$WORLD/got" "http://$1/blob"
	expect cmp "$WORLD/www/blob" "$WORLD/got"
	after=$(service_field "$2" .bytes_transmitted)
	expect_number "bytes through Weir" $((after - before)) -gt 0
	expect_number "bytes through Weir" $((after - before)) -lt 600000
}

upload_arrives() { # HOST
	local name
	fetch --max-time 60 -D "$WORLD/headers" -T "$WORLD/www/blob" "http://$1/put/blob"
	name=$(tr -d '\r' <"$WORLD/headers" | sed -n 's/^X-Backend: //p' | tail -n 1)
	expect cmp "$WORLD/www/blob" "$WORLD/nginx-$name/put/blob"
}

kernel_answers() {
	local address
	for address in 10.1.0.110 10.1.0.1 fd01::110 fd01::1; do
		expect at client ping -q -c 2 -i 0.2 -W 5 "$address"
	done
}

scenario "the port is a PCI device with a poll-mode driver" port_is_pci
scenario "IPv4: requests are answered, and the backends see the client's own address" web_answers 10.1.0.110 10.1.0.2
scenario "IPv6: requests are answered, and the backends see the client's own address" web_answers '[fd01::110]' fd01::2
scenario "IPv4: a download does not come through Weir" answers_go_past 10.1.0.110 web4
scenario "IPv6: an upload arrives unchanged" upload_arrives '[fd01::110]'
scenario "the kernel answers pings to the services and to the host" kernel_answers
scenario "all packets are accounted for" expect_balance
finish
