# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
#
# The frame of an end-to-end test: a world (world.sh), cases in TAP, and what they check with.
#
#	. "$(dirname "$0")/lib.sh"
#	begin                              # from here on in a world of its own
#	topology_two_armed ...
#	scenario "a sentence that can be false" function
#	finish
#
# A case is a function. It fails when it returns non-zero or when one of its expect_* did not hold; it goes
# on after those, so one run shows all that is wrong. What it prints is shown when it fails.

# shellcheck source=tests/e2e/world.sh
. "$(dirname "${BASH_SOURCE[0]}")/world.sh"

case_count=0
case_failed=0
failed_count=0
finished=

begin() {
	local missing
	if [ -z "${WEIR_WORLD:-}" ]; then
		missing=$(world_missing)
		[ -z "$missing" ] || { echo "1..0 # SKIP $missing"; exit 0; }
	fi
	world_enter
	trap at_exit EXIT
	# Standard output is for TAP; all else goes to a log, which the failing case shows.
	exec 3>&1 >"$WORLD/setup.out" 2>&1
}

at_exit() {
	local status=$?
	[ -z "$finished" ] || exit $status
	{
		echo "Bail out! the script ended early (status $status)"
		sed 's/^/# /' "$WORLD/setup.out"
		world_explain 2>&1 | sed 's/^/# /'
	} >&3
	exit 1
}

# Something without which the rest makes no sense: require COMMAND...
require() {
	"$@" || { echo "failed: $*"; exit 1; }
}

scenario() { # SENTENCE COMMAND...
	local sentence=$1 start status=0
	shift
	case_failed=0
	case_count=$((case_count + 1))
	start=$(milliseconds)
	"$@" >"$WORLD/case.out" 2>&1 || status=$?
	[ $status -eq 0 ] || [ $case_failed -ne 0 ] || fail "returned $status" >>"$WORLD/case.out"
	if [ $case_failed -eq 0 ]; then
		echo "ok $case_count - $sentence" >&3
	else
		failed_count=$((failed_count + 1))
		{
			echo "not ok $case_count - $sentence"
			echo "# after $(($(milliseconds) - start)) ms; output:"
			tail -n 60 "$WORLD/case.out" | cut -c 1-400 | sed 's/^/#   /'
			[ $failed_count -gt 3 ] || world_explain 2>&1 | cut -c 1-2000 | sed 's/^/#   /'
		} >&3
	fi
	cat "$WORLD/case.out" >>"$WORLD/setup.out"
}

skip_case() { # SENTENCE REASON
	case_count=$((case_count + 1))
	echo "ok $case_count - $1 # SKIP $2" >&3
}

finish() {
	finished=yes
	echo "1..$case_count" >&3
	[ $failed_count -eq 0 ] && [ $case_count -gt 0 ] || exit 1
	exit 0
}

fail() {
	echo "FAILED (line ${BASH_LINENO[1]:-?} of ${BASH_SOURCE[2]##*/}): $*"
	case_failed=1
}

expect() { # COMMAND... succeeds
	"$@" || fail "$*"
}

expect_not() {
	! "$@" || fail "not expected to succeed: $*"
}

expect_eq() { # WHAT ACTUAL EXPECTED
	[ "$2" = "$3" ] || fail "$1 is '$2', expected '$3'"
}

# expect_number WHAT ACTUAL OPERATOR LIMIT, also fractions: expect_number "p99" 0.01 -lt 0.05
expect_number() {
	awk -v a="$2" -v op="$3" -v b="$4" 'BEGIN {
		if (a == "" || a == "null") exit 1
		if (op == "-lt") exit !(a + 0 < b + 0)
		if (op == "-le") exit !(a + 0 <= b + 0)
		if (op == "-gt") exit !(a + 0 > b + 0)
		if (op == "-ge") exit !(a + 0 >= b + 0)
		if (op == "-eq") exit !(a + 0 == b + 0)
		exit 1
	}' || fail "$1 is $2, expected $3 $4"
}

expect_within() { # SECONDS COMMAND...
	wait_for "$@" && return
	"${@:2}"
	fail "within $1 s: ${*:2}"
}

# --- requests ---------------------------------------------------------------------------------

fetch() { # URL [CURL OPTION...]: from the client
	at client curl -sS --fail --max-time 5 "$@"
}

load() { # weir-load from the client; its report on standard output
	at client "$BUILD/tests/tools/weir-load" "$@"
}

# load_start FILE ARGUMENTS...: in the background; load_wait FILE waits and shows the report.
declare -A load_pid
load_start() {
	local file=$WORLD/$1
	shift
	start_at client "$BUILD/tests/tools/weir-load" "$@" >"$file" 2>&1 &
	load_pid[$file]=$!
}

load_wait() {
	local file=$WORLD/$1
	wait "${load_pid[$file]}"
	cat "$file"
}

load_stop() {
	kill -TERM "${load_pid[$WORLD/$1]}"
	load_wait "$1"
}

# A field of the last line of a report: load_field FILE JQ
load_field() {
	tail -n 1 "$WORLD/$1" | jq -r "$2"
}

load_is_flowing() { # FILE COUNT: a background load with --interval has so many answers
	[ "$(load_field "$1" .ok)" -ge "$2" ]
}

expect_no_failures() { # FILE
	expect_eq "failed requests of $1" "$(load_field "$1" .failed)" 0
	expect_number "answers of $1" "$(load_field "$1" .ok)" -gt 0
}

# --- what Weir says of itself -----------------------------------------------------------------

service_field() { # SERVICE JQ [INSTANCE]
	ctl --instance "${3:-default}" --json service list | jq -r --arg s "$1" ".[] | select(.name == \$s) | $2"
}

backend_field() { # SERVICE ADDRESS JQ
	ctl --json backend list "$1" | jq -r --arg a "$2" ".[] | select(.address == \$a) | $3"
}

expect_balance() { # [INSTANCE]
	wait_for 3 sums_balance "$@" && return
	jq -c '.[] | [.name, .packets_received, .packets_transmitted, .originated, .passed_to_kernel, .dropped]' \
		"$WORLD/ports.json" "$WORLD/services.json"
	fail "the packet counters do not balance"
}

# Packets that the kernel handed to the port's sockets are packets that Weir says it received.
received_matches_kernel() { # PORT INTERFACE
	local kernel weir
	kernel=$(at weir ethtool -S "$2" | awk '/xdp_redirect:/ { n += $2 } END { print n + 0 }')
	weir=$(ctl --json port list | jq --arg p "$1" '.[] | select(.name == $p) | .packets_received')
	echo "$1: the kernel redirected $kernel packets, Weir received $weir"
	[ "$kernel" -gt 0 ] && [ "$kernel" = "$weir" ]
}

drops_of() { # SERVICE REASON
	service_field "$1" ".dropped[\"$2\"] // 0"
}

no_drops_but() { # SERVICE REASON...
	local service=$1 allowed
	shift
	allowed=$(printf '%s\n' "$@" | jq -R . | jq -s .)
	[ "$(service_field "$service" "[.dropped | to_entries[] | select(.value > 0)
		| .key] - $allowed | length")" = 0 ]
}

# --- traces of a Weir that has ended -----------------------------------------------------------

# All that Weir puts on the machine, in one text: what is there before must be there after, and no more.
traces() {
	local ns=${1:-weir}
	echo "links:"
	ip -n "$ns" -d -j link | jq -c '.[] | [.ifname, .xdp // null, .promiscuity // 0]'
	echo "addresses:"
	ip -n "$ns" -j addr | jq -c '.[] | .ifname as $i | .addr_info[] | [$i, .local, .prefixlen]'
	echo "routes:"
	ip -n "$ns" route show table all type unicast | grep -v '^fe80'
	echo "files:"
	# The history of configurations is meant to stay.
	find "$RUN" -mindepth 2 ! -name '*.log' ! -path '*/history*' 2>/dev/null | sort
	echo "mounts:"
	grep -F "$RUN" /proc/self/mounts
	echo "processes:"
	pgrep -a weir- | grep -vE 'weir-(load|udp|crowd|origin)' | cut -d ' ' -f 2-
	echo "hugepages:"
	cat /proc/sys/vm/nr_hugepages
}
