#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# What is told of changes, to whom, and who may make them.

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
begin

config() { # WEIGHT
	config_head front=front back=back
	cat <<-END
	services:
	  - name: web
	    address: 198.51.100.10
	    port: 80
	    protocol: tcp
	    mode: nat
	    source-addresses: [10.2.0.100]
	    health: {type: http, path: /healthz, interval: 200ms, timeout: 150ms, rise: 1, fall: 2}
	    backends:
	      - {address: 10.2.0.11, port: 8080, weight: $1}
	      - {address: 10.2.0.12, port: 8080}
	END
}

require topology_two_armed
require nginx_start b1 10.2.0.11:8080
require nginx_start b2 10.2.0.12:8080
config 100 >"$WORLD/default.yaml"
# Any two that every machine has.
require weir_start default --group adm --read-only-group users
require wait_for 10 backends_up 2

follow() { # OPTION...: such that $! is weirctl itself
	WEIR_RUN_DIR=$RUN exec "$BUILD/weirctl" --json events --follow "$@" >"$WORLD/followed" 2>/dev/null
}
follow &
follower=$!

# told JQ: an event for which this is true, in what the follower has written
told() {
	jq -es "any(.[]; $1)" "$WORLD/followed" >/dev/null
}

newest() {
	ctl --json events | jq '.[-1].sequence // 0'
}

beginning() {
	expect_within 2 told '.kind == "dataplane" and .text == "started" and .inputs.pid > 0'
	expect_within 2 told '.kind == "health" and .object == "web 10.2.0.11:8080"
		and .text == "is up: HTTP 200" and .inputs.verdict == "good"'
	expect test "$(ctl --json events | jq -c '[.[].sequence] == [range(1; length + 1)]')" = true
	expect test "$(ctl --json events | jq -c '[.[].time] == ([.[].time] | sort)')" = true
}

who_drained() {
	expect ctl backend drain web 10.2.0.12:8080
	expect_within 2 told '.kind == "backend" and .object == "web 10.2.0.12:8080"
		and .inputs.drained and .inputs.by.user == "root" and .inputs.by.pid > 0'
	expect ctl backend enable web 10.2.0.12:8080
	expect_within 2 told '.kind == "backend" and (.inputs.drained | not)'
	expect grep -q 'web 10.2.0.12:8080 enabled again by root (pid ' <(ctl events)
}

who_applied() {
	local before
	config 50 >"$WORLD/new.yaml"
	expect ctl config apply "$WORLD/new.yaml"
	expect_within 2 told '.kind == "config" and (.object | endswith("/new.yaml"))
		and .inputs.what == "applied" and .inputs.by.uid == 0'
	echo "nonsense: true" >>"$WORLD/new.yaml"
	expect_not ctl config apply "$WORLD/new.yaml"
	expect_within 2 told '.kind == "config" and .inputs.what == "refused" and .inputs.by.uid == 0'
	config 50 >"$WORLD/new.yaml"
	before=$(newest)
	expect ctl config apply "$WORLD/new.yaml"
	expect_eq "events of an apply that changes nothing" \
		"$(ctl --json events --since "$before" | jq '[.[] | select(.kind == "config")] | length')" 0
}

what_died() {
	local before
	before=$(newest)
	nginx_kill b2
	expect_within 3 told '.kind == "health" and .object == "web 10.2.0.12:8080"
		and .text == "is down: connection refused"'
	nginx_start b2 10.2.0.12:8080
	kill -KILL "$(dataplane_pid)"
	expect_within 5 told '.kind == "dataplane" and (.text | startswith("ended"))'
	expect_within 5 told ".kind == \"dataplane\" and .text == \"started\" and .sequence > $before"
	expect_within 5 backends_up 2
	ip -n b1 link set eth0 down
	# The kernel would believe in it for half a minute more.
	ip -n weir neigh del 10.2.0.11 dev back
	expect_within 10 told '.kind == "next_hop" and .object == "10.2.0.11 back" and (.inputs.resolved | not)'
	ip -n b1 link set eth0 up
	expect_within 10 told '.kind == "next_hop" and .object == "10.2.0.11 back" and .inputs.resolved'
	expect_within 10 backends_up 2
}

daemon_killed() {
	kill -KILL "${weir_pid[default]}"
	wait "${weir_pid[default]}"
	# The follower ends with the daemon; the next one begins anew.
	expect_within 5 ended $follower
	require weir_start default --group adm --read-only-group users
	follow --since 100000 &
	follower=$!
	expect_within 5 told '.kind == "dataplane" and .text == "adopted"'
	expect_within 5 backends_up 2
}

as() { # GROUP weirctl's ARGUMENTS
	local group=$1
	shift
	WEIR_RUN_DIR=$RUN setpriv --reuid=nobody --regid=nogroup --groups="$group" "$BUILD/weirctl" "$@"
}

who_may() {
	local ro=$RUN/default/control-ro.sock
	expect_eq "the sockets' modes and groups" \
		"$(stat -c '%a %G' "$RUN/default/control.sock" "$ro" | tr '\n' ' ')" "660 adm 660 users "
	expect as adm status
	expect as adm backend drain web 10.2.0.12:8080
	expect grep -q 'drained by nobody (pid ' <(ctl events)
	expect as adm backend enable web 10.2.0.12:8080
	# Who may only look.
	expect as users status
	expect as users backend list
	expect as users events
	expect_not as users backend drain web 10.2.0.12:8080
	as users backend drain web 10.2.0.12:8080 2>"$WORLD/out"
	expect grep -q 'backend.drain is not allowed on the read-only socket' "$WORLD/out"
	expect_not as users config apply "$WORLD/default.yaml"
	expect_not ctl --socket "$ro" config apply "$WORLD/default.yaml"
	expect backend_state_is web 10.2.0.12:8080 up
	# And who may not even that.
	expect_not as nogroup status
	as nogroup status 2>"$WORLD/out"
	expect grep -q 'may not open .*control-ro.sock' "$WORLD/out"
}

# Drained and enabled 2,500 times while the follower is stopped: more than are kept.
slow_reader() {
	local before last
	before=$(jq -s '.[-1].sequence' "$WORLD/followed")
	kill -STOP $follower
	expect python3 - "$RUN/default/control.sock" <<-'END'
	import json, socket, sys
	with socket.socket(socket.AF_UNIX) as s:
	    s.connect(sys.argv[1])
	    replies = s.makefile("rb")
	    for i in range(5000):
	        s.sendall(json.dumps({"jsonrpc": "2.0", "id": i, "method": f"backend.{('drain', 'enable')[i % 2]}",
	                              "params": {"service": "web", "backend": "10.2.0.12:8080"}}).encode() + b"\n")
	        assert "result" in json.loads(replies.readline())
	END
	kill -CONT $follower
	last=$(newest)
	expect_number "events meanwhile" $((last - before)) -ge 5000
	expect_within 5 told ".sequence == $last"
	expect_within 1 told ".kind == \"lost\" and .inputs.lost > 0 and (.text | endswith(\"faster than they were read\"))"
	# One is either read or counted as lost, and none twice.
	expect_eq "events since it was stopped, read and lost" "$(jq -s "[.[] | select(.sequence > $before and .sequence <= $last)] |
		([.[] | select(.kind == \"lost\") | .inputs.lost] | add) + ([.[] | select(.kind != \"lost\")] | length)" \
		"$WORLD/followed")" $((last - before))
	expect test "$(jq -s '[.[] | select(.kind != "lost") | .sequence] | . == (unique)' "$WORLD/followed")" = true
	expect_number "events that are kept" "$(ctl --json events | jq length)" -le 4097
	expect backend_state_is web 10.2.0.12:8080 up
}

stops_clean() {
	weir_stop
	expect_not test -e "$RUN/default/control-ro.sock"
	expect_within 5 ended $follower
}

scenario "what happened at the start is told, numbered and in order" beginning
scenario "a drain is told with who asked for it" who_drained
scenario "an applied and a refused configuration are told with who, one as before is not" who_applied
scenario "what died and came back is told" what_died
scenario "a killed weir-controld ends its followers, and the next one tells of its own" daemon_killed
scenario "the sockets' groups may change things, or only look, and others neither" who_may
scenario "a reader that is too slow is told how many it lost, and reads on" slow_reader
scenario "a clean stop takes the sockets and the followers along" stops_clean
finish
