#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# How Weir does when there is much of everything: memory for each flow, service, backend and route, and the time
# until a configuration is in force and until the first packet. A line of JSON for each figure.
#
#	tests/bench/scale.sh [-s SERVICES] [-b BACKENDS-A-SERVICE] [-r ROUTES] [-f FLOWS] [-c CHECKED-BACKENDS] [-p PART,...]
#
# Parts: start, policies, checks, routes, flows; all of them unless some are named.

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/../e2e/lib.sh"

SERVICES=1000 BACKENDS=20 ROUTES=100000 FLOWS=10000000 CHECKED=5000 PARTS=start,policies,checks,routes,flows
while getopts s:b:r:f:c:p: option; do
	case $option in
	s) SERVICES=$OPTARG ;;
	b) BACKENDS=$OPTARG ;;
	r) ROUTES=$OPTARG ;;
	f) FLOWS=$OPTARG ;;
	c) CHECKED=$OPTARG ;;
	p) PARTS=$OPTARG ;;
	*) exit 2 ;;
	esac
done
if [ -z "${WEIR_WORLD:-}" ]; then
	missing=$(world_missing)
	[ -z "$missing" ] || { echo "scale.sh: $missing" >&2; exit 1; }
fi
world_enter "$@"
exec 3>&1 >&2
trap 'kill $(jobs -p) 2>/dev/null' EXIT

say() { # WHAT KEY VALUE...
	local what=$1 line
	shift
	line=$(printf '{"scale": "%s"' "$what")
	while [ $# -gt 0 ]; do
		line+=", \"$1\": $2"
		shift 2
	done
	echo "$line}" >&3
}

cpu_ticks() { # PID
	awk '{ print $14 + $15 }' "/proc/$1/stat"
}

# CPU seconds that both processes have used.
cpu_of() {
	local pid ticks=0
	for pid in "${weir_pid[default]}" "$(dataplane_pid)"; do
		ticks=$((ticks + $(cpu_ticks "$pid")))
	done
	echo $ticks
}

cpu_since() { # TICKS
	awk -v t=$(($(cpu_of) - $1)) -v hz="$(getconf CLK_TCK)" 'BEGIN { printf "%.2f", t / hz }'
}

seconds_since() { # MILLISECONDS
	awk -v a="$1" -v b="$(milliseconds)" 'BEGIN { printf "%.3f", (b - a) / 1000 }'
}

memory_of() { # PID KIND...: bytes; RssShmem is shared: tables and counters, which the data plane owns and control maps
	local pid=$1
	shift
	awk -v kinds=" $* " 'index(kinds, " " substr($1, 1, length($1) - 1) " ") { kib += $2 }
		END { printf "%d", kib * 1024 }' "/proc/$pid/status"
}

address_of() { # FIRST NUMBER: FIRST.x.y
	echo "$1.$(($2 / 250)).$(($2 % 250 + 1))"
}

# Services take turns among source addresses: 50 on each, so that all get ports. Backends are behind a
# router, and without checks: 20,000 servers are not at hand.
config() { # SERVICES
	local s b
	MEMORY=3G config_head front=front back=back
	echo "services:"
	for ((s = 0; s < $1; s++)); do
		echo "  - {name: s$s, address: $(address_of 198.18 $s), port: 80, protocol: tcp, mode: nat,"
		echo "     source-addresses: [$(address_of 10.9 $((s / 50)))], health: {type: none}, backends: ["
		for ((b = 0; b < BACKENDS; b++)); do
			echo "       {address: $(address_of 10.$((100 + b)) $s), port: 8080},"
		done
		echo "     ]}"
	done
}

topology() {
	local b
	topology_two_armed
	ip -n client route add 198.18.0.0/16 via 10.1.0.1 src 10.1.0.2
	# The router is b1, and also every backend.
	for ((b = 0; b < BACKENDS; b++)); do
		ip -n weir route add "10.$((100 + b)).0.0/16" via 10.2.0.11
		ip -n b1 route add local "10.$((100 + b)).0.0/16" dev lo
	done
	ip -n b1 route add 10.9.0.0/16 via 10.2.0.1
	nginx_start b1 0.0.0.0:8080
}

routes() { # add|del
	awk -v n="$ROUTES" -v verb="$1" 'BEGIN {
		for (i = 0; i < n; i++)
			printf "route %s %d.%d.%d.0/24 via 10.2.0.12\n", verb, 20 + int(i / 65536), int(i / 256) % 256, i % 256
	}' >"$WORLD/routes"
	ip -n weir -batch "$WORLD/routes"
}

fetches() { # URL
	fetch --max-time 1 "$1"
}

measure_start() {
	local start pid dataplane cpu
	start=$(milliseconds)
	ctl config check "$WORLD/many.yaml"
	say "config check" seconds "$(seconds_since "$start")" bytes "$(stat -c %s "$WORLD/many.yaml")"
	start=$(milliseconds)
	weir_start default
	wait_for 60 fetches http://198.18.0.1/
	say "start with one service, to the first answer" seconds "$(seconds_since "$start")"
	pid=${weir_pid[default]}
	dataplane=$(dataplane_pid)
	local control_before dataplane_before
	control_before=$(memory_of "$pid" RssAnon)
	dataplane_before=$(memory_of "$dataplane" RssAnon RssShmem)

	cpu=$(cpu_of) start=$(milliseconds)
	ctl config apply "$WORLD/many.yaml" >/dev/null
	say "apply of all" seconds "$(seconds_since "$start")" cpu_seconds "$(cpu_since "$cpu")" services "$SERVICES" \
		backends $((SERVICES * BACKENDS))
	wait_for 60 fetches "http://$(address_of 198.18 $((SERVICES - 1)))/"
	say "apply of all, to the first answer of the last service" seconds "$(seconds_since "$start")"
	say "memory" services "$SERVICES" backends $((SERVICES * BACKENDS)) \
		control_bytes_per_backend $((($(memory_of "$pid" RssAnon) - control_before) / (SERVICES * BACKENDS))) \
		dataplane_bytes_per_service $((($(memory_of "$dataplane" RssAnon RssShmem) - dataplane_before) / SERVICES))
}

measure_changes() {
	local start cpu last=$((SERVICES - 1))
	sed 's/^  - {name: s0,.*/&/; 0,/port: 8080},/s//port: 8080, weight: 50},/' "$WORLD/many.yaml" >"$WORLD/changed.yaml"
	cpu=$(cpu_of) start=$(milliseconds)
	ctl config apply "$WORLD/changed.yaml" >/dev/null
	say "apply of one changed weight" seconds "$(seconds_since "$start")" cpu_seconds "$(cpu_since "$cpu")"
	config $((SERVICES - 1)) >"$WORLD/fewer.yaml"
	ctl config apply "$WORLD/fewer.yaml" >/dev/null
	cpu=$(cpu_of) start=$(milliseconds)
	ctl config apply "$WORLD/many.yaml" >/dev/null
	say "apply of one more service" seconds "$(seconds_since "$start")" cpu_seconds "$(cpu_since "$cpu")"
	wait_for 60 fetches "http://$(address_of 198.18 $last)/"
	say "apply of one more service, to its first answer" seconds "$(seconds_since "$start")"
	start=$(milliseconds)
	ctl backend drain s0 10.100.0.1:8080 >/dev/null
	say "drain of a backend" seconds "$(seconds_since "$start")"
	start=$(milliseconds)
	ctl --json service list >"$WORLD/out"
	say "service list" seconds "$(seconds_since "$start")" bytes "$(stat -c %s "$WORLD/out")"
	start=$(milliseconds)
	ctl --json backend list >"$WORLD/out"
	say "backend list" seconds "$(seconds_since "$start")" bytes "$(stat -c %s "$WORLD/out")"
}

# The same services, each backend of which is asked by HTTP every second.
checked_config() {
	local of=$SERVICES
	SERVICES=$((CHECKED / BACKENDS))
	config "$SERVICES" | sed 's/health: {type: none}/health: {type: http, interval: 1s, timeout: 900ms}/'
	SERVICES=$of
	echo 'metrics: {listen: "127.0.0.1:9464"}'
}

# By its log: to ask the daemon for 5,000 backends again and again would be what makes it late.
scrape() { at weir curl -s --max-time 5 http://127.0.0.1:9464/metrics >"$WORLD/metrics"; }

figure() { # METRIC: its value when it was scraped
	awk -v name="weir_health_$1" '{ sub(/{.*}/, "", $1) } $1 == name { print $2 }' "$WORLD/metrics"
}

# With the daemon on a core of its own, as it has on a server, where the rest of the run is not. Counted from the
# configuration that brings them all at once: its first seconds, then all of it.
measure_checks() {
	local seconds=20 ticks start took pid=${weir_pid[default]}
	checked_config >"$WORLD/checked.yaml"
	ticks=$(cpu_ticks "$pid")
	ctl config apply "$WORLD/checked.yaml" >/dev/null
	start=$(milliseconds)
	sleep 5
	scrape
	say "health checks of $CHECKED backends in the first seconds" seconds "$(seconds_since "$start")" started "$(figure checks_total)" \
		late "$(figure checks_late_total)" worst_lateness_seconds "$(figure check_lateness_max_seconds)"
	sleep "$seconds"
	scrape
	took=$(seconds_since "$start")
	say "health checks of $CHECKED backends from the first one, one a second" seconds "$took" \
		started "$(figure checks_total)" late "$(figure checks_late_total)" \
		worst_lateness_seconds "$(figure check_lateness_max_seconds)" \
		core_share "$(awk -v t=$(($(cpu_ticks "$pid") - ticks)) -v hz="$(getconf CLK_TCK)" -v s="$took" \
			'BEGIN { printf "%.2f", t / hz / s }')"
}

# One policy at each of the services, which the kernel can run; $1: its parameters.
policies_config() {
	config "$SERVICES" | sed "s|health: {type: none}|&, policy: {object: $BUILD/ebpf/policies/amplification.o, budget: 1000000$1}|"
}

apply_and_ask() { # WHAT FILE: how long it takes, and what others hear from the daemon meanwhile
	local start asker
	python3 "$TOP/tests/bench/answers.py" "$RUN/default/control.sock" >"$WORLD/answers" &
	asker=$!
	sleep 0.2
	start=$(milliseconds)
	ctl config apply "$2" >/dev/null
	# Behind it each goes into the kernel.
	sleep 3
	kill "$asker"
	wait "$asker"
	say "$1" services "$SERVICES" apply_seconds "$(awk -v a="$start" -v b="$(milliseconds)" \
		'BEGIN { printf "%.3f", (b - a) / 1000 - 3 }')" answered_ms "$(cat "$WORLD/answers")"
}

measure_policies() {
	policies_config >"$WORLD/policies.yaml"
	policies_config ', set: {strict: 1}' >"$WORLD/strict.yaml"
	ctl config apply "$WORLD/many.yaml" >/dev/null
	apply_and_ask "apply of a policy at each service" "$WORLD/policies.yaml"
	apply_and_ask "apply of another parameter of each" "$WORLD/strict.yaml"
	say "policies in the kernel" count "$(ctl --json policy list | jq '[.[] | select(.where | startswith("kernel"))] | length')"
	apply_and_ask "apply without policies" "$WORLD/many.yaml"
}

measure_routes() {
	local start before memory pid=${weir_pid[default]} lines
	before=$(cpu_ticks "$pid") memory=$(memory_of "$pid" RssAnon)
	start=$(milliseconds)
	routes add
	say "routes no backend lies behind" routes "$ROUTES" seconds "$(seconds_since "$start")" \
		control_cpu_seconds "$(awk -v t=$(($(cpu_ticks "$pid") - before)) -v hz="$(getconf CLK_TCK)" \
			'BEGIN { print t / hz }')" \
		control_bytes_per_route $((($(memory_of "$pid" RssAnon) - memory) / ROUTES))
	# A path for one of the backend networks: what it takes with all the others beside.
	lines=$(grep -c 'in force' "$WORLD/controld-default.log")
	ip -n weir route replace 10.100.0.0/16 nexthop via 10.2.0.11 nexthop via 10.2.0.12
	more_in_force() { [ "$(grep -c 'in force' "$WORLD/controld-default.log")" -gt "$lines" ]; }
	wait_for 20 more_in_force
	say "a second path to $SERVICES backends" milliseconds \
		"$(tail -n 1 <(grep 'in force' "$WORLD/controld-default.log") | grep -oE '[0-9.]+ ms' | cut -d ' ' -f 1)"
}

measure_flows() {
	"$BUILD/tests/bench/weir-bench" --json --mode nat --family 4 --flows "$FLOWS" --repetitions 3 |
		jq -c 'select(.case == "hit") | {scale: "flows", flows, direction, cycles_per_packet, min,
			bytes_per_flow: (.table_bytes / .table_capacity), hugepages}' >&3
}

topology
config "$SERVICES" >"$WORLD/many.yaml"
config 1 >"$WORLD/default.yaml"
part() { [[ ,$PARTS, == *,$1,* ]]; }
if part start || part routes; then
	measure_start
	measure_changes
	! part routes || measure_routes
fi
if part policies; then
	[ -n "${weir_pid[default]:-}" ] || weir_start default
	measure_policies
fi
if part checks; then
	[ -n "${weir_pid[default]:-}" ] || weir_start default
	measure_checks
fi
weir_stop
! part flows || measure_flows
