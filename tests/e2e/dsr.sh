#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# dsr mode: only the link address is rewritten, the answers go past Weir.

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
begin

UDP=$BUILD/tests/tools/weir-udp

config() {
	local family vip b n
	config_head front=front
	echo "services:"
	for family in 4 6; do
		case $family in
		4) vip=10.1.0.110 b=10.1.0.1 ;;
		6) vip=fd01::110 b=fd01::1 ;;
		esac
		cat <<-END
		  - name: web$family
		    address: "$vip"
		    port: 80
		    protocol: tcp
		    mode: dsr
		    health: {type: http, path: /healthz, interval: 200ms, timeout: 150ms, rise: 1, fall: 2}
		    backends:
		      - {address: "${b}1", port: 80}
		      - {address: "${b}2", port: 80}
		      - {address: "${b}3", port: 80}
		  - name: echo$family
		    address: "$vip"
		    port: 9000
		    protocol: udp
		    mode: dsr
		    health: {type: none}
		    backends:
		      - {address: "${b}1", port: 9000}
		      - {address: "${b}2", port: 9000}
		END
	done
}

require topology_one_switch
dsr_addresses 10.1.0.110 fd01::110
for n in 1 2 3; do
	require nginx_start "b$n" 0.0.0.0:80 '[::]:80'
	udp_start "b$n" 10.1.0.110 9000
	udp_start "b$n" fd01::110 9000
done
blob_make 20
config >"$WORLD/default.yaml"
require weir_start
require wait_for 10 backends_up 10

web_answers() { # HOST CLIENT
	local n answers
	for n in {1..30}; do
		answers+=$(fetch -D - -o /dev/null "http://$1/" | tr -d '\r' | sed -n 's/^X-Backend: //p')" "
	done
	echo "$answers"
	expect_eq "answers" "$(wc -w <<<"$answers")" 30
	for n in b1 b2 b3; do
		[[ $answers = *$n* ]] || fail "$n never answered"
	done
	expect_eq "client as the backend sees it" "$(fetch "http://$1/client")" "$2"
}

answers_go_past() { # HOST SERVICE
	local before after
	before=$(service_field "$2" .bytes_transmitted)
	fetch --max-time 30 -o "$WORLD/got" "http://$1/blob"
	expect cmp "$WORLD/www/blob" "$WORLD/got"
	after=$(service_field "$2" .bytes_transmitted)
	expect_number "bytes through Weir" $((after - before)) -gt 0
	expect_number "bytes through Weir" $((after - before)) -lt 4000000
}

upload_arrives() { # HOST
	local name
	fetch --max-time 30 -D "$WORLD/headers" -T "$WORLD/www/blob" "http://$1/put/blob"
	name=$(tr -d '\r' <"$WORLD/headers" | sed -n 's/^X-Backend: //p' | tail -n 1)
	expect cmp "$WORLD/www/blob" "$WORLD/nginx-$name/put/blob"
}

many_connections() { # HOST
	load_start many -c 16 -n 3000 "http://$1/"
	load_wait many
	expect_no_failures many
}

udp_comes_back() { # ADDRESS
	at client "$UDP" send -f 64 -n 20 -r 4000 "$1" 9000 >"$WORLD/udp.json" || fail "UDP"
	cat "$WORLD/udp.json"
	expect_eq "servers" "$(jq '.servers | length' "$WORLD/udp.json")" 2
}

drain_is_silent() { # HOST SERVICE BACKEND
	load_start drain -c 200 -r 200 -t 3 -k 3 -i 0.1 "http://$1/"
	expect wait_for 3 load_is_flowing drain 50
	expect ctl backend drain "$2" "$3"
	load_wait drain
	expect_no_failures drain
	load_start drained -c 8 -n 300 "http://$1/"
	load_wait drained
	expect_no_failures drained
	expect_eq "answers of the drained one" "$(load_field drained '.backends.b1.ok // 0')" 0
	expect ctl backend enable "$2" "$3"
	expect_within 3 backend_state_is "$2" "$3" up
}

death_is_noticed() { # HOST SERVICE BACKEND
	nginx_kill b3
	expect_within 3 backend_state_is "$2" "$3" down
	load_start dead -c 8 -n 300 "http://$1/"
	load_wait dead
	expect_no_failures dead
	nginx_start b3 0.0.0.0:80 '[::]:80'
	# Of both families: the next case must not take this death for its own.
	expect_within 3 backends_up 10
}

kernel_answers() {
	local address
	for address in 10.1.0.110 10.1.0.1 fd01::110 fd01::1; do
		expect at client ping -q -c 2 -i 0.05 -W 1 "$address"
		expect at client ping -q -c 1 -s 4000 -W 1 "$address"
	done
}

scenario "IPv4: all backends answer, and see the client's own address" web_answers 10.1.0.110 10.1.0.2
scenario "IPv6: all backends answer, and see the client's own address" web_answers '[fd01::110]' fd01::2
scenario "IPv4: a download does not come through Weir" answers_go_past 10.1.0.110 web4
scenario "IPv6: a download does not come through Weir" answers_go_past '[fd01::110]' web6
scenario "IPv4: an upload arrives unchanged" upload_arrives 10.1.0.110
scenario "IPv6: an upload arrives unchanged" upload_arrives '[fd01::110]'
scenario "IPv4: no request of many connections fails" many_connections 10.1.0.110
scenario "IPv6: no request of many connections fails" many_connections '[fd01::110]'
scenario "IPv4: every UDP datagram is answered by the backend of its flow" udp_comes_back 10.1.0.110
scenario "IPv6: every UDP datagram is answered by the backend of its flow" udp_comes_back fd01::110
scenario "IPv4: no client notices that a backend is drained" drain_is_silent 10.1.0.110 web4 10.1.0.11:80
scenario "IPv6: no client notices that a backend is drained" drain_is_silent '[fd01::110]' web6 '[fd01::11]:80'
scenario "IPv4: after a dead backend is noticed no request fails" death_is_noticed 10.1.0.110 web4 10.1.0.13:80
scenario "IPv6: after a dead backend is noticed no request fails" death_is_noticed '[fd01::110]' web6 '[fd01::13]:80'
scenario "the kernel answers pings to the services and to the host" kernel_answers
scenario "all packets are accounted for" expect_balance
scenario "Weir received what the kernel handed to it" expect_within 2 received_matches_kernel front front
finish
