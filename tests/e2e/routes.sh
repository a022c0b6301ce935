#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Routes come from a routing protocol: BIRD runs beside Weir and in two routers, between which and the
# network of clients and servers (one namespace, `client`) BGP says what is where. Weir spreads over both
# routers, follows them, and its service's address is announced to them.
#
#	weir --- r1 --- client
#	    \--- r2 ---/
#
# The same over IPv6, where routes are an operator's own.

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
command -v bird >/dev/null || { echo "1..0 # SKIP there is no bird"; exit 0; }
begin

URL=http://198.51.100.10

bird_config() { # NAME ROUTER-ID AS EXPORT
	cat <<-END
	log "$WORLD/bird-$1.log" all;
	router id $2;
	protocol device { scan time 10; }
	protocol kernel {
		ipv4 { import none; export where source = RTS_BGP; };
		merge paths on limit 8;
	}
	protocol bfd {
		interface "*" { min rx interval 100 ms; min tx interval 100 ms; multiplier 8; };
	}
	template bgp peer {
		local as $3;
		bfd on;
		connect delay time 1;
		connect retry time 1;
		startup hold time 10;
		error wait time 1, 2;
		ipv4 { import all; export where $4; next hop self; };
	}
	END
}

bird_start() { # NAME; its configuration is in $WORLD/bird-NAME.conf
	start_at "$1" bird -f -c "$WORLD/bird-$1.conf" -s "$WORLD/bird-$1.ctl" &
	bird_pid[$1]=$!
}
declare -A bird_pid

birds_start() {
	local n
	{
		bird_config weir 10.11.0.1 65010 'source = RTS_DEVICE'
		# What Weir adds to the loopback: the service's address and the one it translates to.
		echo 'protocol direct { ipv4; interface "lo"; }'
		echo 'protocol bgp r1 from peer { neighbor 10.11.0.2 as 65001; }'
		echo 'protocol bgp r2 from peer { neighbor 10.12.0.2 as 65002; }'
	} >"$WORLD/bird-weir.conf"
	{
		bird_config client 10.3.0.1 65000 'net ~ [ 10.3.0.0/24, 10.4.0.0/24 ]'
		echo 'protocol static { ipv4; route 10.3.0.0/24 blackhole; route 10.4.0.0/24 blackhole; }'
		echo 'protocol bgp r1 from peer { neighbor 10.21.0.1 as 65001; }'
		echo 'protocol bgp r2 from peer { neighbor 10.22.0.1 as 65002; }'
	} >"$WORLD/bird-client.conf"
	for n in 1 2; do
		{
			bird_config r$n 10.1$n.0.2 6500$n true
			echo 'protocol direct { ipv4; }'
			echo "protocol bgp weir from peer { neighbor 10.1$n.0.1 as 65010; }"
			echo "protocol bgp edge from peer { neighbor 10.2$n.0.2 as 65000; }"
		} >"$WORLD/bird-r$n.conf"
	done
	for n in r1 r2 client weir; do
		bird_start $n
	done
}

birdc_at() { # NAME COMMAND...
	birdc -s "$WORLD/bird-$1.ctl" "${@:2}"
}

topology() {
	local n
	for n in weir r1 r2 client; do
		ns_add $n
		at $n sysctl -qw net.ipv4.ip_forward=1 net.ipv4.fib_multipath_hash_policy=1
	done
	at weir sysctl -qw net.ipv4.ip_forward=0
	for n in 1 2; do
		link_add weir to-r$n r$n weir
		link_add r$n client client r$n
		addr_add weir to-r$n 10.1$n.0.1/24
		addr_add r$n weir 10.1$n.0.2/24
		addr_add r$n client 10.2$n.0.1/24
		addr_add client r$n 10.2$n.0.2/24
		addr_add weir to-r$n fd1$n::1/64
		addr_add r$n weir fd1$n::2/64
		addr_add r$n client fd2$n::1/64
		addr_add client r$n fd2$n::2/64
		at r$n sysctl -qw net.ipv6.conf.all.forwarding=1
		ip -n r$n route add fd03::/64 via fd2$n::2
		ip -n r$n route add fd04::/64 via fd2$n::2
		ip -n r$n route add fd09::/64 via fd1$n::1
		ip -n r$n route add 2001:db8:100::10 via fd1$n::1
		ip -n client route add fd1$n::/64 via fd2$n::1
	done
	addr_add client lo 10.3.0.11/32 10.3.0.12/32 10.3.0.13/32 10.3.0.14/32 10.4.0.1/32 fd03::11/128 fd03::12/128 \
		fd04::1/128
	at client sysctl -qw net.ipv6.fib_multipath_hash_policy=1
	ip -n client route add 2001:db8:100::10 nexthop via fd21::1 nexthop via fd22::1
	ip -n client route add fd09::/64 via fd21::1
	ip -n weir route add fd03::/64 nexthop via fd11::2 nexthop via fd12::2
	ip -n weir route add fd04::/64 nexthop via fd11::2 nexthop via fd12::2
}

config() {
	config_head r1=to-r1 r2=to-r2
	cat <<-'END'
	services:
	  - name: web
	    address: 198.51.100.10
	    port: 80
	    protocol: tcp
	    mode: nat
	    source-addresses: [10.9.0.1]
	    health: {type: tcp, interval: 300ms, timeout: 250ms, fall: 5}
	    backends:
	      - {address: 10.3.0.11, port: 8080}
	      - {address: 10.3.0.12, port: 8080}
	      - {address: 10.3.0.13, port: 8080}
	      - {address: 10.3.0.14, port: 8080}
	  - name: web6
	    address: "2001:db8:100::10"
	    port: 80
	    protocol: tcp
	    mode: nat
	    source-addresses: ["fd09::1"]
	    health: {type: tcp, interval: 300ms, timeout: 250ms, fall: 5}
	    backends:
	      - {address: "fd03::11", port: 8080}
	      - {address: "fd03::12", port: 8080}
	END
}

paths_are() { # NAMESPACE PREFIX COUNT: so many next hops has the kernel's route
	[ "$(ip -n "$1" -j route show "$2" proto bird | jq '[.[] | .nexthops // [.] | .[] |
		select(.gateway)] | length')" = "$3" ]
}

from_weir() { # ROUTER: packets that it got from Weir's host
	ip -n "$1" -s -j link show dev weir | jq '.[0].stats64.rx.packets'
}

# spread_of COMMAND...: the share in percent of what goes by r1.
spread_of() {
	local a b
	a=$(from_weir r1) b=$(from_weir r2)
	"$@" >&2
	a=$(($(from_weir r1) - a)) b=$(($(from_weir r2) - b))
	echo "by r1 $a packets, by r2 $b" >&2
	echo $((100 * a / (a + b + 1)))
}

many() { # [SOURCE URL]
	load_start many -c 16 -n 600 -s "${1:-10.4.0.1}" -T 5 "${2:-$URL}/"
	load_wait many
	expect_no_failures many
}

service_is_announced() {
	expect_eq "answer" "$(fetch --interface 10.4.0.1 $URL/client)" 10.9.0.1
}

both_paths_are_used() {
	local share
	share=$(spread_of many)
	expect_number "share of r1 in percent" "$share" -gt 25
	expect_number "share of r1 in percent" "$share" -lt 75
}

ipv6_is_spread() {
	local share url="http://[2001:db8:100::10]"
	expect_within 10 fetch --interface fd04::1 "$url/"
	share=$(spread_of many fd04::1 "$url")
	expect_number "share of r1 in percent" "$share" -gt 25
	expect_number "share of r1 in percent" "$share" -lt 75
	ip -n weir route replace fd03::/64 via fd12::2
	ip -n client route replace 2001:db8:100::10 via fd22::1
	share=$(spread_of many fd04::1 "$url")
	expect_number "share of r1 in percent, with a route by r2 only" "$share" -lt 10
}

route_to() { # ROUTER
	ip -n weir route replace 10.3.0.0/25 via "10.1${1#r}.0.2"
}

# All traffic from one router to the other and back, five times, by routes of an operator's hand.
changes_are_fast() {
	local to=r2 from=r1
	route_to r1
	load_start busy -c 16 -k 0 -w 0.002 -t 60 -T 5 -i 0.1 -s 10.4.0.1 $URL/
	expect wait_for 5 load_is_flowing busy 100
	: >"$WORLD/timing"
	for _ in 1 2 3 4 5; do
		expect python3 "$TOP/tests/e2e/route_timing.py" weir $from $to weir 10.3.0.0/24 \
			ip -n weir route replace 10.3.0.0/25 via 10.1${to#r}.0.2 >>"$WORLD/timing"
		to=$from from=r$((3 - ${from#r}))
	done
	ip -n weir route del 10.3.0.0/25
	load_stop busy
	expect_no_failures busy
	cat "$WORLD/timing"
	grep -h 'in force' "$WORLD/controld-default.log" | tail -n 6
	expect_eq "changes after which the other router carried on" \
		"$(jq -s 'map(select(.packets_by_new > 0)) | length' "$WORLD/timing")" 5
	expect_number "median of the milliseconds until a change was in force" \
		"$(jq -s 'map(.ms) | sort | .[2]' "$WORLD/timing")" -lt 100
	echo "# a change of routes was in force after $(jq -sc 'map(.ms) | sort' "$WORLD/timing") ms" >&3
}

path_is_withdrawn() {
	local share
	load_start through -c 8 -k 0 -w 0.005 -t 60 -T 8 -i 0.1 -s 10.4.0.1 $URL/
	expect wait_for 5 load_is_flowing through 50
	birdc_at r1 disable edge
	expect_within 10 paths_are weir 10.3.0.0/24 1
	share=$(spread_of many)
	# Routing protocol and health checks still talk to r1.
	expect_number "share of r1 in percent" "$share" -lt 10
	birdc_at r1 enable edge
	expect_within 20 paths_are weir 10.3.0.0/24 2
	expect_within 20 paths_are client 198.51.100.10 2
	share=$(spread_of many)
	expect_number "share of r1 in percent" "$share" -gt 20
	load_stop through
	expect_no_failures through
}

# The power of r1 fails: nothing says so but its silence, which BFD hears.
router_dies() {
	local share start
	load_start on -c 8 -k 0 -w 0.005 -t 60 -T 10 -i 0.1 -s 10.4.0.1 $URL/
	expect wait_for 5 load_is_flowing on 50
	start=$(milliseconds)
	kill -STOP "${bird_pid[r1]}"
	at r1 sysctl -qw net.ipv4.ip_forward=0
	expect_within 10 paths_are weir 10.3.0.0/24 1
	echo "r1 was missed after $(($(milliseconds) - start)) ms"
	expect_number "milliseconds until r1 was missed" $(($(milliseconds) - start)) -lt 5000
	share=$(spread_of many)
	expect_number "share of r1 in percent" "$share" -lt 10
	load_stop on
	expect_no_failures on
	at r1 sysctl -qw net.ipv4.ip_forward=1
	kill -CONT "${bird_pid[r1]}"
	expect_within 30 paths_are weir 10.3.0.0/24 2
}

service_is_withdrawn() {
	expect weir_stop
	expect_within 10 paths_are client 198.51.100.10 0
}

require topology
require birds_start
require nginx_start client 10.3.0.11:8080 10.3.0.12:8080 10.3.0.13:8080 10.3.0.14:8080 '[fd03::11]:8080' '[fd03::12]:8080'
config >"$WORLD/default.yaml"
require weir_start
require wait_for 20 paths_are client 198.51.100.10 2
require wait_for 20 paths_are weir 10.3.0.0/24 2
require wait_for 10 backends_up 6

scenario "the service's address is announced by BIRD beside Weir, and clients reach it" service_is_announced
scenario "new flows are spread over both next hops that BGP has found" both_paths_are_used
scenario "over IPv6 too, and they follow the route" ipv6_is_spread
scenario "a change of routes is in force within 100 ms of the kernel's message" changes_are_fast
scenario "traffic leaves a path that is withdrawn, and comes back with it, without a failure" path_is_withdrawn
scenario "traffic leaves a router that falls silent, without a failure" router_dies
scenario "all packets are accounted for" expect_balance
scenario "with Weir its announcement goes" service_is_withdrawn
finish
