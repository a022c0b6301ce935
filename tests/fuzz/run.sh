#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Fuzz each target for a bounded time and print TAP; a crash, a leak, undefined behaviour, an input that
# takes 10 s or 2 GiB fails it and prints the input that did it.
#
#   tests/fuzz/run.sh [-t SECONDS] [-b BUILD_FOLDER] [-n] [NAME...]
#
# As many at once as there are CPUs. With -n they are only built.
# What the fuzzer found goes to BUILD_FOLDER/fuzz/NAME/, and is where the next run goes on.
set -u -o pipefail

top=$(cd "$(dirname "$0")/../.." && pwd)
seconds=20
build=$top/build-fuzz
run=yes
while getopts t:b:n option; do
	case $option in
	t) seconds=$OPTARG ;;
	b) build=$OPTARG ;;
	n) run= ;;
	*) exit 2 ;;
	esac
done
shift $((OPTIND - 1))

if ! command -v clang >/dev/null; then
	echo "1..0 # SKIP clang is not installed"
	exit 0
fi

logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT
log=$logs/build
if [ ! -f "$build/build.ninja" ]; then
	compiler=clang
	command -v ccache >/dev/null && compiler='ccache clang'
	# b_lundef: clang leaves the sanitizers' symbols to the executable.
	CC=$compiler meson setup "$build" "$top" -Dfuzz=true -Db_sanitize=address,undefined \
		-Db_lundef=false >"$log" 2>&1 || { tail -n 20 "$log"; echo "Bail out! meson setup"; exit 1; }
fi
# The first ninja brings targets.list up to date when meson.build has changed.
ninja -C "$build" build.ninja >"$log" 2>&1 || { tail -n 20 "$log"; echo "Bail out! meson"; exit 1; }
mapfile -t targets < <(awk -v wanted=" $* " \
	'NF == 2 && (wanted == "  " || index(wanted, " " $1 " "))' "$build/tests/fuzz/targets.list")
if [ ${#targets[@]} -eq 0 ]; then
	echo "Bail out! no fuzz target named $*"
	exit 1
fi
names=("${targets[@]%% *}")
ninja -C "$build" "${names[@]/#/tests/fuzz/fuzz_}" >"$log" 2>&1 || {
	grep -A5 -E 'error|FAILED|undefined' "$log" | head -n 40
	echo "Bail out! build of the fuzz targets"
	exit 1
}

[ -n "$run" ] || exit 0

fuzz_one() { # NUMBER NAME MAX_LEN
	local found=$build/fuzz/$2 log=$logs/$2 runs input
	mkdir -p "$found" "$build/fuzz/crashes"
	rm -f "$build/fuzz/crashes/$2-"*
	# libFuzzer writes to the first folder only; the seeds in the tree stay as they are.
	if timeout --kill-after=5 $((seconds + 120)) "$build/tests/fuzz/fuzz_$2" \
		-max_total_time="$seconds" -max_len="$3" -timeout=10 -rss_limit_mb=2048 \
		-print_final_stats=1 -artifact_prefix="$build/fuzz/crashes/$2-" \
		"$found" "$top/tests/fuzz/corpus/$2" >"$log" 2>&1; then
		runs=$(awk '/stat::number_of_executed_units/ { print $2 }' "$log")
		echo "ok $1 - $2 survives ${seconds} s of fuzzing (${runs:-?} inputs)"
		return 0
	fi
	echo "not ok $1 - $2 survives ${seconds} s of fuzzing"
	grep -v -E '^#[0-9]+.*(NEW|REDUCE|pulse|RELOAD|READ|INITED)' "$log" | tail -n 60 | sed 's/^/# /'
	for input in "$build/fuzz/crashes/$2-"*; do
		[ -f "$input" ] || continue
		echo "# reproduce: $build/tests/fuzz/fuzz_$2 $input"
		base64 "$input" | head -n 40 | sed 's/^/# base64: /'
	done
	return 1
}

export ASAN_OPTIONS=abort_on_error=0:detect_leaks=1
export UBSAN_OPTIONS=print_stacktrace=1
failed=0
number=0
at_once=$(nproc)
echo "1..${#targets[@]}"
while [ $number -lt ${#targets[@]} ]; do
	pids=()
	for target in "${targets[@]:number:at_once}"; do
		read -r name max_len <<<"$target"
		fuzz_one $((number + ${#pids[@]} + 1)) "$name" "$max_len" >"$logs/tap.${#pids[@]}" &
		pids+=($!)
	done
	for i in "${!pids[@]}"; do
		wait "${pids[i]}" || failed=1
		cat "$logs/tap.$i"
	done
	number=$((number + ${#pids[@]}))
done
exit $failed
