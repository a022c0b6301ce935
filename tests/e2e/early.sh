#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Early drops in the kernel: a service is flooded with more than its worker takes, and its excess goes in the XDP
# program of the port, before it costs a copy. Another service's requests go on meanwhile; with and without, in turn.

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
begin
[ "$(nproc)" -ge 2 ] || { echo "1..0 # SKIP needs a dispatcher and a worker: two CPUs" >&3; finished=yes; exit 0; }

FLOOD=$BUILD/tests/tools/weir-flood
RATE=250000

config() { # EARLY-DROPS
	config_head front=front back=back | sed "s/idle:/early-drops: $1, idle:/"
	cat <<-END
	services:
	  - name: noisy
	    address: 198.51.100.20
	    port: 80
	    protocol: tcp
	    mode: nat
	    source-addresses: [10.2.0.100]
	    health: {type: none}
	    policy: {object: $WORLD/slow.o, offload: never, budget: 1000000000}
	    backends: [{address: 10.2.0.11, port: 8080}]
	  - name: quiet
	    address: 198.51.100.10
	    port: 80
	    protocol: tcp
	    mode: nat
	    source-addresses: [10.2.0.101]
	    health: {type: none}
	    backends: [{address: 10.2.0.12, port: 8080}]
	END
}

require topology_two_armed 2
require nginx_start b1 10.2.0.11:8080
require nginx_start b2 10.2.0.12:8080
require clang -O2 -g -w -target bpf -mcpu=v3 -isystem "/usr/include/$(uname -m)-linux-gnu" -I "$TOP/ebpf/include" \
	-c "$TOP/tests/bpf/policies/fast_path/slow.c" -o "$WORLD/slow.o"
MAC=$(ip -n weir -j link show front | jq -r '.[0].address')
traces >"$WORLD/traces.before"

start() { # EARLY-DROPS
	CORES='[0, 1]' config "$1" >"$WORLD/default.yaml"
	weir_start || return 1
	expect_within 40 policy_runs # it is tried out first, which takes the daemon a while
	expect_within 20 fetch -o /dev/null http://198.51.100.10/
	expect_within 20 fetch -o /dev/null http://198.51.100.20/
}
policy_runs() { [ "$(ctl --json policy show noisy | jq -r '.policies[0].state')" = running ]; }

flood() { # SECONDS
	at client "$FLOOD" eth0 "$MAC" 198.51.100.20 80 "$1" $RATE
}

# What the kernel gave to front's sockets, and what its XDP program dropped.
kernel_count() { # xdp_redirect|xdp_drops
	at weir ethtool -S front | awk -v k="$1:" '$1 ~ k { n += $2 } END { print n + 0 }'
}

in_kernel() {
	drops_of noisy early_in_kernel
}

# Requests to both, as many as come: nothing is dropped early.
nothing_without_overload() {
	start kernel
	load_start calm -c 4 -n 2000 -t 10 -T 5 http://198.51.100.10/
	load_start noise -c 2 -n 300 -t 10 -T 5 http://198.51.100.20/
	load_wait calm
	load_wait noise
	expect_no_failures calm
	expect_eq "dropped early in the kernel" "$(in_kernel)" 0
	expect_eq "dropped by XDP" "$(kernel_count xdp_drops)" 0
	expect_balance
	weir_stop
}

# One flood: what was sent, copied and dropped where, and how the quiet service fared.
round() { # EARLY-DROPS NUMBER
	local redirected xdp sent
	start "$1"
	redirected=$(kernel_count xdp_redirect)
	xdp=$(kernel_count xdp_drops)
	load_start "quiet-$1-$2" -c 1 -t 3 -T 5 http://198.51.100.10/
	sent=$(flood 3)
	load_wait "quiet-$1-$2"
	expect_no_failures "quiet-$1-$2"
	expect_within 5 sums_balance
	echo "$1: $sent sent, $(($(kernel_count xdp_redirect) - redirected)) copied," \
		"$(($(kernel_count xdp_drops) - xdp)) dropped by XDP"
	ctl --json service list | jq -c '.[] | {name, packets_received, dropped}'
	expect_eq "what Weir and the kernel's driver counted" "$(in_kernel)" $(($(kernel_count xdp_drops) - xdp))
	expect_eq "packets of the quiet service that were dropped" "$(service_field quiet '.dropped | add // 0')" 0
	if [ "$1" = weir ]; then
		expect_number "dropped early by Weir" "$(drops_of noisy worker_behind)" -gt $((sent / 10))
		expect_eq "dropped early in the kernel" "$(in_kernel)" 0
	else
		expect_number "dropped early in the kernel" "$(in_kernel)" -gt $((sent / 5))
		expect_number "copied to be dropped early" "$(drops_of noisy worker_behind)" -lt "$(in_kernel)"
		ends_at_once
	fi
	expect_balance
	weir_stop
}

# The flood is over: clients of the service have all their packets through again.
ends_at_once() {
	local before
	sleep 0.3
	before=$(in_kernel)
	load_start after -c 2 -n 200 -t 10 -T 5 http://198.51.100.20/
	load_wait after
	expect_no_failures after
	expect_eq "dropped early in the kernel since" "$(in_kernel)" "$before"
}

median() { # JQ FILE...
	local jq=$1 file
	shift
	for file in "$@"; do tail -n 1 "$file" | jq -r "$jq"; done | sort -g | sed -n "$((($# + 1) / 2))p"
}

compare() {
	local off on n
	for n in 1 2; do
		round weir $n
		round kernel $n
	done
	off=$(median .p99 "$WORLD"/quiet-weir-?)
	on=$(median .p99 "$WORLD"/quiet-kernel-?)
	echo "p99 of the quiet service's requests: $off s dropped by Weir, $on s dropped in the kernel"
	expect_number "p99 with drops in the kernel" "$on" -le "$(awk -v o="$off" 'BEGIN { print o * 1.5 + 0.002 }')"
}

# Killed in the middle of it: nothing is left attached, and the next ones hold nobody.
killed_meanwhile() {
	start kernel
	flood 4 >/dev/null &
	local flooding=$!
	expect_within 3 is_dropping
	kill -KILL "${weir_pid[default]}" "$(dataplane_pid)"
	wait "${weir_pid[default]}" 2>/dev/null
	wait $flooding
	expect_within 5 no_programs
	start kernel
	expect_eq "dropped early in the kernel" "$(in_kernel)" 0
	weir_stop
	traces >"$WORLD/traces.after"
	expect diff "$WORLD/traces.before" "$WORLD/traces.after"
}
is_dropping() { [ "$(in_kernel)" -gt 100 ]; }
no_programs() { [ "$(ip -n weir -d -j link | jq '[.[] | select(.xdp)] | length')" = 0 ]; }

scenario "nothing is dropped early where nothing is overloaded" nothing_without_overload
scenario "a flood's excess goes in the kernel, and the other service is no worse off" compare
scenario "nothing of it is left when all are killed" killed_meanwhile
finish
