#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# nat through one port: clients, Weir and backends on the same network.

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
begin

config() {
	local family vip source b
	config_head front=front
	echo "services:"
	for family in 4 6; do
		case $family in
		4) vip=10.1.0.120 source=10.1.0.121 b=10.1.0.1 ;;
		6) vip=fd01::120 source=fd01::121 b=fd01::1 ;;
		esac
		cat <<-END
		  - name: web$family
		    address: "$vip"
		    port: 80
		    protocol: tcp
		    mode: nat
		    source-addresses: ["$source"]
		    health: {type: http, path: /healthz, interval: 200ms, timeout: 150ms}
		    backends:
		      - {address: "${b}1", port: 8080}
		      - {address: "${b}2", port: 8080}
		      - {address: "${b}3", port: 8080}
		END
	done
	# The host's own address as the source: its ephemeral ports stay the host's.
	cat <<-'END'
	  - name: own
	    address: 10.1.0.122
	    port: 80
	    protocol: tcp
	    mode: nat
	    source-addresses: [10.1.0.1]
	    health: {type: tcp, interval: 200ms, timeout: 150ms}
	    backends:
	      - {address: 10.1.0.11, port: 8080}
	END
}

require topology_one_switch
for n in 1 2 3; do
	require nginx_start "b$n" "10.1.0.1$n:8080" "[fd01::1$n]:8080"
done
blob_make 10
config >"$WORLD/default.yaml"
require weir_start
require wait_for 10 backends_up 7

answers() { # HOST SOURCE
	expect_eq "client as the backend sees it" "$(fetch "http://$1/client")" "$2"
	load_start load -c 8 -n 1000 "http://$1/"
	load_wait load
	expect_no_failures load
	expect_eq "backends that answer" "$(load_field load '.backends | length')" "$3"
	fetch --max-time 30 -o "$WORLD/got" "http://$1/blob"
	expect cmp "$WORLD/www/blob" "$WORLD/got"
}

clients_share() {
	local n
	for n in 3 4 5 6; do
		load_start "client$n" -c 4 -n 300 -s "10.1.0.$n" http://10.1.0.120/
	done
	for n in 3 4 5 6; do
		load_wait "client$n"
		expect_no_failures "client$n"
	done
}

own_connections_go_on() {
	local n
	for n in {1..20}; do
		expect_eq "the host as a client" \
			"$(at weir curl -sS --max-time 2 http://10.1.0.11:8080/client)" 10.1.0.1
	done
	expect at weir ping -q -c 1 -W 1 10.1.0.11
	expect at b1 ping -q -c 1 -W 1 10.1.0.1
}

scenario "IPv4: requests go in and out by the same port" answers 10.1.0.120 10.1.0.121 3
scenario "IPv6: requests go in and out by the same port" answers '[fd01::120]' fd01::121 3
scenario "several clients at once are served" clients_share
scenario "the host's own address can be the source" answers 10.1.0.122 10.1.0.1 1
scenario "the host's own connections from that address go on" own_connections_go_on
scenario "all packets are accounted for" expect_balance
scenario "Weir received what the kernel handed to it" expect_within 2 received_matches_kernel front front
finish
