#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# The scenarios that judge adaptation, on real TCP between namespaces: many clients (weir-crowd), Weir, ten
# backends (weir-origin). Each runs with adaptation off and on, with the same seed.
#
# usage: tests/scenarios/run.sh [-o FOLDER] [-s SEED] [-m off|on] [NAME...]    (all of table.py unless named)
#
# What happened is left in FOLDER (build/scenarios), for report.py; the verdicts are printed.

# shellcheck source=tests/e2e/world.sh
. "$(dirname "$0")/../e2e/world.sh"
missing=$(world_missing)
if [ -z "${WEIR_WORLD:-}" ] && [ -n "$missing" ]; then
	[[ " $* " != *" --tap "* ]] || { echo "1..0 # SKIP $missing"; exit 0; }
	echo "scenarios: $missing" >&2
	exit 1
fi
world_enter "$@"

# client (10.16.0.0/16 are all its own) -- front weir back -- origins (10.2.0.11 and so on)
topology() {
	local n
	ns_add client
	ns_add weir
	ns_add origins
	link_add client eth0 weir front
	link_add origins eth0 weir back
	addr_add client eth0 10.1.0.2/24
	addr_add weir front 10.1.0.1/24
	addr_add weir back 10.2.0.1/24
	for n in {11..20}; do
		addr_add origins eth0 "10.2.0.$n/24"
	done
	ip -n client route add 198.51.100.0/24 via 10.1.0.1
	ip -n client route add local 10.16.0.0/16 dev lo
	ip -n weir route add 10.16.0.0/16 via 10.1.0.2
	# A crowd needs ports, and the ones of answered requests again soon.
	at client sysctl -qw net.ipv4.ip_local_port_range="1024 65535" net.ipv4.tcp_max_tw_buckets=4096
	at origins sysctl -qw net.core.somaxconn=4096 net.ipv4.tcp_max_syn_backlog=4096
}

topology || exit 1
# Who else is busy on this machine must not change what is measured: all of it, Weir too, goes before others.
[ -n "${SCENARIO_POLITE:-}" ] || chrt --rr -p 10 $$ 2>/dev/null
WEIR_BUILD=$BUILD WEIR_RUN_DIR=$RUN WORLD=$WORLD exec python3 "$TOP/tests/scenarios/scenarios.py" "$@"
