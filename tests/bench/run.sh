#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# The benchmark: JSON lines on standard output, a table for people on standard error.
#
#   tests/bench/run.sh [-b BUILD_FOLDER] [weir-bench's options: --quick --json ...]
#
# DPDK's testpmd forwards by swapping link addresses between two null devices first (a floor that is
# not ours), then weir-bench runs, then weir-policy-bench and weir-adapt-bench, then afxdp.sh unless it has to be
# --quick.
set -u -o pipefail

top=$(cd "$(dirname "$0")/../.." && pwd)
build=$top/build
if [ "${1:-}" = -b ]; then
	build=$2
	shift 2
fi
seconds=1
for option in "$@"; do
	[ "$option" = --quick ] && seconds=0.3
done

mapfile -t cpus < <(taskset -cp $$ | sed 's/.*: //' | tr , '\n' |
	awk -F- '{ for (cpu = $1; cpu <= ($2 == "" ? $1 : $2); cpu++) print cpu }')

# Cycles a packet of five runs, least first; nothing when testpmd is not there or does not start.
testpmd_run() # EAL's options for memory
{
	{
		sleep 2
		for _ in 1 2 3 4 5; do
			echo start
			sleep "$seconds"
			echo stop
			sleep 0.2
		done
		echo quit
	} | timeout --kill-after=5 60 dpdk-testpmd --lcores "0@${cpus[0]},1@${cpus[-1]}" "$@" \
		--no-pci --no-telemetry --log-level=lib.eal:error \
		--vdev=net_null0,size=64 --vdev=net_null1,size=64 -- \
		-i --forward-mode=macswap --nb-cores=1 --burst=32 --record-core-cycles \
		--total-num-mbufs=8192 2>/dev/null |
		sed -n 's/.*CPU cycles\/packet=\([0-9.]*\).*/\1/p' | sort -n
}

testpmd=()
if command -v dpdk-testpmd >/dev/null; then
	mapfile -t testpmd < <(testpmd_run --in-memory -m 64)
	if [ ${#testpmd[@]} -ne 5 ]; then
		mapfile -t testpmd < <(testpmd_run --no-huge --no-shconf -m 128)
	fi
fi
floor=()
if [ ${#testpmd[@]} -eq 5 ]; then
	floor=(--testpmd "${testpmd[0]},${testpmd[2]},${testpmd[4]}")
else
	echo "run.sh: no figures of dpdk-testpmd (package dpdk)" >&2
fi
"$build/tests/bench/weir-bench" "${floor[@]}" "$@"
status=$?

# Policies have no cases to choose from: they are measured when all is.
options=()
json=
for option in "$@"; do
	[ "$option" != --json ] || json=$option
	case $option in
	--quick | --json) options+=("$option") ;;
	*) exit "$status" ;;
	esac
done
"$build/tests/bench/weir-bench" --policy "$build/tests/bench/empty.o" --mode nat --flows 10000 "${options[@]}" ||
	status=1
# What a service has of another one's flood, and what a second worker brings; both on two CPUs.
"$build/tests/bench/weir-isolation-bench" "${options[@]}" || [ $? -eq 77 ] || status=1
"$build/tests/bench/weir-workers-bench" "${options[@]}" || status=1
# What control pays for adaptation.
"$build/tests/bench/weir-adapt-bench" ${json:+"$json"} || status=1
if [ "$(id -u)" -ne 0 ]; then
	echo "run.sh: no figures of policies (the kernel's verifier is asked, which takes root)" >&2
	exit "$status"
fi
[ ! -x "$build/tests/bench/weir-policy-bench" ] ||
	"$build/tests/bench/weir-policy-bench" "${options[@]}" "$build" || status=1
# With real packets through the kernel's sockets, which takes most of a minute.
[ "$seconds" = 0.3 ] || WEIR_BUILD=$build "$top/tests/bench/afxdp.sh" || status=1
exit "$status"
