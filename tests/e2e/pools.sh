#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Who serves whom: the fallback pool takes over and gives back; affinity keeps clients where they are.

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
begin

config() {
	config_head front=front back=back
	echo "services:"
	local family vip source b
	for family in 4 6; do
		case $family in
		4) vip=198.51.100.10 source=10.2.0.100 b=10.2.0.1 ;;
		6) vip=2001:db8:100::10 source=fd02::100 b=fd02::1 ;;
		esac
		cat <<-END
		  - name: web$family
		    address: "$vip"
		    port: 80
		    protocol: tcp
		    mode: nat
		    source-addresses: ["$source"]
		    health: {type: http, path: /healthz, interval: 200ms, timeout: 150ms, rise: 1, fall: 2, slow-start: ${SLOW_START:-0s}}
		    backends:
		      - {address: "${b}1", port: 8080}
		      - {address: "${b}2", port: 8080}
		    fallback:
		      - {address: "${b}3", port: 8080}
		END
	done
	for family in 4 6; do
		case $family in
		4) vip=198.51.100.20 source=10.2.0.100 b=10.2.0.1 ;;
		6) vip=2001:db8:100::20 source=fd02::100 b=fd02::1 ;;
		esac
		cat <<-END
		  - name: sticky$family
		    address: "$vip"
		    port: 80
		    protocol: tcp
		    mode: nat
		    source-addresses: ["$source"]
		    health: {type: none}
		    affinity: {type: source}
		    backends:
		      - {address: "${b}1", port: 8080, weight: ${1:-100}}
		      - {address: "${b}2", port: 8080, weight: ${2:-100}}
		      - {address: "${b}3", port: 8080, weight: ${3:-100}}
		END
	done
}

server_start() { # NS NUMBER
	nginx_start "$1" "10.2.0.1$2:8080" "[fd02::1$2]:8080"
}

require topology_two_armed
for n in 1 2 3; do
	require server_start "b$n" $n
done
blob_make 10
config >"$WORLD/default.yaml"
require weir_start
require wait_for 10 backends_up 10 # and two fallback

HOSTS=(198.51.100.10 '[2001:db8:100::10]')

# states_are "STATE STATE STATE": of the backends of both services, in the order of the file.
states_are() {
	local service
	for service in web4 web6; do
		[ "$(ctl --json backend list $service | jq -r 'map(.state) | join(" ")')" = "$1" ] ||
			return 1
	done
}

weights_are() {
	local service
	for service in web4 web6; do
		expect_eq "weights in force of $service" \
			"$(ctl --json backend list $service | jq -r 'map(.weight_in_force | tostring) | join(" ")')" "$1"
	done
}

# only_from "NAME...": 20 requests of each family are answered by these, and by all of them.
only_from() {
	local host n
	for host in "${HOSTS[@]}"; do
		expect_eq "who answers at $host" "$(for n in {1..20}; do
			fetch -D - -o /dev/null "http://$host/" | tr -d '\r' | sed -n 's/^X-Backend: //p'
		done | sort -u | xargs)" "$1"
	done
}

said() { # TEXT: so far in the daemon's log
	grep -qF "$1" "$WORLD/controld-default.log"
}

warned() { # TEXT
	ctl --json status | jq -e --arg t "$1" '.warnings | any(. == $t)'
}

rests() {
	expect_within 5 states_are "up up fallback"
	weights_are "100 100 0"
	only_from "b1 b2"
	expect_eq "flows of the fallback" "$(backend_field web4 10.2.0.13 .new_flows)" 0
	expect_not said "fallback pool"
}

takes_over() {
	nginx_kill b1
	nginx_kill b2
	expect_within 10 states_are "down down fallback"
	weights_are "0 0 100"
	only_from b3
	expect said "service web4: no backend can serve, its fallback pool does"
	expect_eq "events of web6" "$(ctl --json events | jq -c \
		'[.[] | select(.kind == "pool" and .object == "web6") | .inputs.serves]')" '["fallback"]'
	expect warned "service web6: every backend is down; its fallback pool serves"
}

# Begin a download, and read the rest of it when FILE.go is there.
slow_download() { # ADDRESS FILE
	# shellcheck disable=SC2016
	start_at client timeout 60 bash -c '
		exec 3<>"/dev/tcp/$1/80"
		printf "GET /blob HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\r\n" >&3
		head -c 100000 <&3 >"$2"
		touch "$2.begun"
		until [ -e "$2.go" ]; do sleep 0.05; done
		cat <&3 >>"$2"' bash "$1" "$2" &
}

gives_back() {
	local host pids=() n=0
	for host in "${HOSTS[@]}"; do
		host=${host#[}
		slow_download "${host%]}" "$WORLD/got-$n"
		pids+=($!)
		expect_within 10 test -e "$WORLD/got-$n.begun"
		n=$((n + 1))
	done
	server_start b1 1
	expect_within 10 states_are "up down fallback"
	only_from b1
	expect said "service web6: its backends serve again"
	for n in 0 1; do
		touch "$WORLD/got-$n.go"
		wait "${pids[$n]}" || fail "download $n"
		expect grep -aq "X-Backend: b3" "$WORLD/got-$n"
		expect cmp "$WORLD/www/blob" <(sed '1,/^\r$/d' "$WORLD/got-$n")
	done
}

drained() {
	ctl backend drain web4 10.2.0.11:8080
	ctl backend drain web6 '[fd02::11]:8080'
	expect_within 5 states_are "draining down fallback"
	weights_are "0 0 100"
	only_from b3
	ctl backend enable web4 10.2.0.11:8080
	ctl backend enable web6 '[fd02::11]:8080'
	expect_within 5 states_are "up down fallback"
	only_from b1
}

# Who answers each of the client's five addresses, in both families, three times: "b1 b3 ..."
places() {
	local n host address
	for n in 2 3 4 5 6; do
		for host in 198.51.100.20 '[2001:db8:100::20]'; do
			address=10.1.0.$n
			[[ $host = 198* ]] || address=fd01::$n
			for _ in 1 2 3; do
				fetch --interface "$address" -D - -o /dev/null "http://$host/"
			done | tr -d '\r' | sed -n 's/^X-Backend: //p' | sort -u | xargs
		done
	done
}

clients_stay() {
	local before after weights
	server_start b2 2
	before=$(places)
	echo "$before"
	# Without affinity, 3 connections of each of 10 clients on one backend each: 1 in 3^20.
	expect_eq "places" "$(wc -w <<<"$before")" 10
	for weights in "1 60000 100" "60000 1 1" "100 100 100"; do
		# shellcheck disable=SC2086
		config $weights >"$WORLD/default.yaml"
		expect ctl config apply "$WORLD/default.yaml"
		after=$(places)
		expect_eq "places with the weights $weights" "$after" "$before"
	done
}

leave_and_stay() {
	local before after n
	before=$(places)
	ctl backend drain sticky4 10.2.0.11:8080
	ctl backend drain sticky6 '[fd02::11]:8080'
	after=$(places)
	[[ $after != *b1* ]] || fail "a drained backend gets new flows"
	for n in {1..10}; do
		[ "$(sed -n ${n}p <<<"$before")" = b1 ] ||
			expect_eq "place $n" "$(sed -n ${n}p <<<"$after")" "$(sed -n ${n}p <<<"$before")"
	done
	ctl backend enable sticky4 10.2.0.11:8080
	ctl backend enable sticky6 '[fd02::11]:8080'
	expect_eq "places afterwards" "$(places)" "$after"
}

flow_find_knows() {
	local n
	for n in 2 3 4; do
		expect_eq "backend foretold for 10.1.0.$n" \
			"$(ctl --json flow find tcp "10.1.0.$n:1000" 198.51.100.20:80 | jq -r .backend)" \
			"10.2.0.1$(fetch --interface 10.1.0.$n -D - -o /dev/null http://198.51.100.20/ |
				tr -d '\r' | sed -n 's/^X-Backend: b//p'):8080"
	done
}

scenario "while backends are up, the fallback pool rests" rests
scenario "when the last backend is down, the fallback pool serves" takes_over
scenario "a backend that is back gets all new flows, and flows on the fallback end there" gives_back
scenario "the fallback pool serves while the others are drained" drained
scenario "clients stay on their backend when weights change" clients_stay
scenario "clients of a drained backend go elsewhere and stay there" leave_and_stay
scenario "the backend that flow find foretells is the client's" flow_find_knows
has_dropped() { # SERVICE REASON
	[ "$(drops_of "$1" "$2")" -gt 0 ]
}

refused_at_once() {
	local host start
	nginx_kill b1
	nginx_kill b3
	ctl backend drain web4 10.2.0.12:8080
	ctl backend drain web6 '[fd02::12]:8080'
	expect_within 10 states_are "down draining down"
	for host in "${HOSTS[@]}"; do
		start=$(milliseconds)
		expect_not fetch --max-time 10 "http://$host/"
		expect_number "milliseconds until the refusal by $host" $(($(milliseconds) - start)) -lt 1000
	done
	expect_within 3 has_dropped web4 no_backend
	expect_number "answers" "$(ctl --json port list | jq '[.[].originated] | add')" -ge 2
	expect warned "service web4: every backend is drained or down"
	ctl backend enable web4 10.2.0.12:8080
	ctl backend enable web6 '[fd02::12]:8080'
	expect_within 10 states_are "down up down"
	only_from b2
}

scenario "when nobody can serve, clients are refused at once" refused_at_once

weight_of_b1() { backend_field web4 10.2.0.11 .weight_in_force; }
b1_comes_back() { [ "$(weight_of_b1)" -gt 0 ]; }
b1_is_back() { [ "$(weight_of_b1)" -eq 100 ]; }

# What b1 got of new flows lies between the shares by its weights before and after, give or take 12 of 100.
share_follows_weight() {
	local before after share
	before=$(weight_of_b1)
	load_start ramp -c 4 -n 300 -T 5 http://198.51.100.10/
	load_wait ramp
	after=$(weight_of_b1)
	expect_no_failures ramp
	share=$((100 * $(load_field ramp '.backends.b1.ok // 0') / $(load_field ramp .ok)))
	echo "b1 with weight $before to $after got $share of 100"
	expect_number "share of b1" $share -ge $((100 * before / (before + 100) - 12))
	expect_number "share of b1" $share -le $((100 * after / (after + 100) + 12))
}

comes_back_slowly() {
	SLOW_START=6s config >"$WORLD/default.yaml"
	expect ctl config apply "$WORLD/default.yaml"
	server_start b1 1
	expect_within 10 b1_comes_back
	expect_not b1_is_back
	share_follows_weight
	expect_within 20 b1_is_back
	share_follows_weight
}

scenario "a backend that comes back gets its share little by little" comes_back_slowly
scenario "all packets are accounted for" expect_balance
finish
