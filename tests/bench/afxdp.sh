#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# AF_XDP end to end: frames from one network namespace, over a veth pair, through Weir (dsr, IPv4) and back, beside
# dpdk-testpmd which only swaps the link addresses of the same frames, on the same pair, taking turns. What
# counts is what comes back. A line of JSON.
#
#	tests/bench/afxdp.sh [-n ROUNDS] [-s SECONDS] [-f FLOWS]

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/../e2e/lib.sh"

ROUNDS=5 SECONDS_EACH=2 FLOWS=10000
while getopts n:s:f: option; do
	case $option in
	n) ROUNDS=$OPTARG ;;
	s) SECONDS_EACH=$OPTARG ;;
	f) FLOWS=$OPTARG ;;
	*) exit 2 ;;
	esac
done
if [ -z "${WEIR_WORLD:-}" ]; then
	missing=$(world_missing)
	command -v dpdk-testpmd >/dev/null || missing+=" dpdk-testpmd (package dpdk)"
	[ "$(nproc)" -ge 2 ] || missing+=" a second CPU"
	[ -z "$missing" ] || { echo "afxdp.sh: not measured, missing: $missing" >&2; exit 0; }
fi
world_enter "$@"
exec 3>&1 >&2
trap 'kill $(jobs -p) 2>/dev/null' EXIT

give_up() {
	echo "afxdp.sh: $*" >&2
	exit 1
}

came_back() {
	ip -n client -j -s link show eth0 | jq '.[0].stats64.rx.packets'
}

has_come_back() { # MORE-THAN
	[ "$(came_back)" -gt "$1" ]
}

# Frames a second that come back, once some do: into the named array.
measure() { # NAME
	local before sent
	before=$(came_back)
	# The generator has the first CPU, who forwards has the last.
	start_at client taskset -c 0 "$BUILD/tests/tools/weir-flood" eth0 "$mac" 198.51.100.10 80 \
		$((SECONDS_EACH + 12)) 1000000 "$FLOWS" >"$WORLD/sent" &
	sent=$!
	wait_for 10 has_come_back $((before + 1000)) || give_up "nothing comes back from $1"
	sleep 0.5
	local start after
	start=$(milliseconds) before=$(came_back)
	sleep "$SECONDS_EACH"
	after=$(came_back)
	local -n figures=$1
	figures+=($(((after - before) * 1000 / ($(milliseconds) - start))))
	kill $sent
	wait $sent || true
}

weir_round() {
	weir_start default
	wait_for 10 backends_up 1 || give_up "the backend is not up"
	measure weir
	sums_balance || give_up "Weir's sums do not balance"
	weir_stop || give_up "Weir does not end as it should"
}

testpmd_round() {
	local pid
	mkfifo "$WORLD/testpmd"
	start_at weir dpdk-testpmd --lcores "0@0,1@$((CPUS - 1))" --no-huge --no-shconf -m 192 --no-pci --no-telemetry \
		--file-prefix afxdp --log-level=lib.eal:error --vdev net_af_xdp0,iface=front -- \
		-i --forward-mode=macswap --nb-cores=1 --total-num-mbufs=16384 --port-topology=loop --auto-start \
		<"$WORLD/testpmd" >"$WORLD/testpmd.log" 2>&1 &
	pid=$!
	exec 4>"$WORLD/testpmd"
	measure testpmd
	echo quit >&4
	exec 4>&-
	wait $pid || give_up "testpmd: $(tail -n 3 "$WORLD/testpmd.log")"
	rm "$WORLD/testpmd"
}

config() {
	CORES="[$((CPUS - 1))]" IDLE=spin config_head front=front
	cat <<-END
	services:
	  - name: dsr
	    address: 198.51.100.10
	    port: 80
	    protocol: tcp
	    mode: dsr
	    health: {type: none}
	    backends: [{address: 10.1.0.2, port: 80}]
	END
}

CPUS=$(nproc)
ns_add client
ns_add weir
link_add client eth0 weir front
client_addresses
addr_add weir front 10.1.0.1/24
mac=$(ip -n weir -j link show front | jq -r '.[].address')
config >"$WORLD/default.yaml"
weir=() testpmd=()
for ((round = 0; round < ROUNDS; round++)); do
	weir_round
	testpmd_round
done
# The time-stamp counter's, as weir-bench says it: the worker's core spins, so a packet costs all the cycles between two.
hz=$("$BUILD/tests/bench/weir-bench" --quick --json --mode dsr --family 4 --flows 1 | jq -s '.[0].tsc_mhz * 1000000') ||
	give_up "weir-bench does not say how fast the clock is"
jq -cn --argjson flows "$FLOWS" --argjson hz "$hz" --argjson weir "[$(IFS=,; echo "${weir[*]}")]" \
	--argjson testpmd "[$(IFS=,; echo "${testpmd[*]}")]" '
	def median: sort | .[length / 2 | floor];
	def digits(n): . * n | round / n;
	{bench: "af-xdp", mode: "dsr", family: 4, flows: $flows,
		cycles_per_packet: ($hz / ($weir | median) | digits(10)),
		floor_cycles_per_packet: ($hz / ($testpmd | median) | digits(10)),
		ratio: (($testpmd | median) / ($weir | median) | digits(1000)),
		packets_per_second: ($weir | median), min: ($weir | min), max: ($weir | max),
		testpmd_packets_per_second: ($testpmd | median), testpmd_min: ($testpmd | min),
		testpmd_max: ($testpmd | max),
		rate_ratio: ([range($weir | length) as $i | $weir[$i] / $testpmd[$i]] | median | digits(1000))}' >&3
