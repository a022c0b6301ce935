#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Run tests in the emulated server: run.sh BUILD [TEST...]; ends with `N passed, N failed`.
# All of tests/vm that say which NICs they need, unless named. Needs root, and what build-guest.sh needs.
set -u
here=$(cd "$(dirname "$0")" && pwd)
build=$(cd "$1" && pwd) || exit 2
shift
guest=$build/vm-guest
passed=0
failed=0
skipped=0

skip() { # REASON
	echo "1..0 # SKIP $1"
	echo "0 passed, 0 failed, 1 skipped"
	exit 0
}

[ "$(id -u)" = 0 ] || skip "this needs root"
"$here/build-guest.sh" "$guest" || skip "the guest cannot be built here: no packages of QEMU or of the kernel"

tests=("$@")
[ $# -gt 0 ] || mapfile -t tests < <(grep -lE '^# nics: ' "$here"/*.sh | sed 's|.*/||; s|\.sh$||')
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

run() { # TEST SHARE: its TAP is in SHARE/tap
	local test=$1 share=$2
	rm -rf "$share"
	mkdir "$share"
	: >"$share/tap" # a guest that never boots writes none
	NICS=$(sed -n 's/^# nics: //p' "$here/$test.sh") TIMEOUT=${VM_TIMEOUT:-1200} \
		"$here/run-guest.sh" "$guest" "$share" \
		"WEIR_BUILD='$build' unshare --mount bash '$here/$test.sh' >>/run/share/tap"
}

# QEMU's emulation now and then loses a timer of the guest's kernel, which then stands still and says so.
timer_lost() { # SHARE
	! grep -q '^not ok' "$1/tap" && grep -q 'rcu:.*Possible timer handling issue' "$1/console.log"
}

for test in "${tests[@]}"; do
	share=$work/$test
	echo "vm: $test"
	start=$SECONDS
	run "$test" "$share"
	status=$?
	if [ $status != 0 ] && timer_lost "$share"; then
		echo "vm: $test begins anew: its guest's kernel stood still for want of a timer"
		run "$test" "$share"
		status=$?
	fi
	cat "$share/tap" 2>/dev/null
	passed=$((passed + $(grep -cE '^ok' "$share/tap") - $(grep -cE '^ok.*# SKIP' "$share/tap")))
	skipped=$((skipped + $(grep -cE '# SKIP' "$share/tap")))
	bad=$(grep -cE '^not ok' "$share/tap")
	if [ $status != 0 ] && [ "$bad" = 0 ]; then
		echo "not ok - $test as a whole (status $status); the end of its console:"
		tail -n 30 "$share/console.log" | sed 's/^/#   /'
		bad=1
	fi
	failed=$((failed + bad))
	echo "vm: $test took $((SECONDS - start)) s"
done
[ "$skipped" = 0 ] && echo "$passed passed, $failed failed" || echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ] && [ "$passed" != 0 ]
