#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Processes that die, and what is left of them.

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
begin

config() {
	config_head front=front back=back
	cat <<-'END'
	services:
	  - name: web
	    address: 198.51.100.10
	    port: 80
	    protocol: tcp
	    mode: nat
	    source-addresses: [10.2.0.100]
	    health: {type: http, path: /healthz, interval: 200ms, timeout: 150ms, rise: 1, fall: 2}
	    backends:
	      - {address: 10.2.0.11, port: 8080}
	      - {address: 10.2.0.12, port: 8080}
	      - {address: 10.2.0.13, port: 8080}
	  - name: web6
	    address: fd01::100
	    port: 80
	    protocol: tcp
	    mode: nat
	    source-addresses: ["fd02::100"]
	    health: {type: tcp, interval: 200ms, timeout: 150ms, rise: 1, fall: 2}
	    backends:
	      - {address: "fd02::11", port: 8080}
	END
}

URL=http://198.51.100.10

require topology_two_armed
for n in 1 2 3; do
	require nginx_start "b$n" "10.2.0.1$n:8080" "[fd02::1$n]:8080"
done
blob_make 12
config >"$WORLD/default.yaml"
traces >"$WORLD/traces.before"
require weir_start
require wait_for 10 backends_up 4
# What a running Weir has on the machine; after a restart it must be the same again.
running_traces() {
	traces | sed -e '/^processes:/,/^hugepages:/d' -e 's/"prog":{[^}]*}/"prog"/g'
}
running_traces >"$WORLD/traces.running"

as_before_start() {
	traces >"$WORLD/traces.after"
	diff "$WORLD/traces.before" "$WORLD/traces.after"
}

as_when_running() {
	running_traces >"$WORLD/traces.now"
	diff "$WORLD/traces.running" "$WORLD/traces.now"
}

daemon_is_gone() {
	ended "${weir_pid[default]}"
}

daemon_killed() {
	local dataplane received
	dataplane=$(dataplane_pid)
	load_start long -c 8 -k 0 -w 0.01 -t 30 -i 0.1 $URL/
	load_start short -c 400 -r 300 -t 30 -i 0.1 $URL/
	expect wait_for 3 load_is_flowing short 200
	received=$(service_field web .packets_received)
	kill -KILL "${weir_pid[default]}"
	wait "${weir_pid[default]}"
	expect kill -0 "$dataplane"
	# A while without a daemon, measured in answers.
	expect wait_for 5 load_is_flowing short 800
	expect_not ctl status
	require_again weir_start
	expect_eq "data plane process" "$(dataplane_pid)" "$dataplane"
	expect_number "packets received, not started again" "$(service_field web .packets_received)" \
		-gt "$received"
	expect wait_for 5 load_is_flowing short 1300
	load_stop short
	load_stop long
	expect_no_failures short
	expect_no_failures long
	expect_within 3 backends_up 4
	expect_within 3 as_when_running
}

require_again() {
	"$@" || fail "$*"
}

death_during_absence() {
	kill -KILL "${weir_pid[default]}"
	wait "${weir_pid[default]}"
	nginx_kill b3
	require_again weir_start
	expect_within 3 backend_state_is web 10.2.0.13:8080 down
	load_start absent -c 8 -n 300 $URL/
	load_wait absent
	expect_no_failures absent
	nginx_start b3 10.2.0.13:8080 '[fd02::13]:8080'
	expect_within 3 backends_up 4
}

dataplane_killed() {
	local dataplane start served
	dataplane=$(dataplane_pid)
	start=$(milliseconds)
	kill -KILL "$dataplane"
	expect_within 5 fetch --max-time 0.3 $URL/
	served=$(($(milliseconds) - start))
	echo "serving again after $served ms"
	expect_number "milliseconds until the first answer" $served -lt 1000
	expect_within 5 weir_answers default
	expect_not test "$(dataplane_pid)" = "$dataplane"
	expect_within 5 backends_up 4
	expect fetch 'http://[fd01::100]/'
	expect_within 3 as_when_running
	# Translated ports that backends remember from before (TIME_WAIT) cost a SYN a retry or two.
	load_start after -c 8 -n 500 -t 30 -T 8 $URL/
	load_wait after
	expect_no_failures after
	expect_balance
}

# Slow enough to be in the middle of it when the data plane dies.
download_start() { # NAME HOST
	start_at client curl -sS --fail --max-time 30 --limit-rate 2M -o "$WORLD/$1" \
		-w '%{local_port} %{num_connects}' "http://$2/blob" >"$WORLD/$1.curl" 2>&1 &
	download[$1]=$!
}

download_is_at() { # NAME BYTES
	[ "$(stat -c %s "$WORLD/$1")" -ge "$2" ]
}

# Both are under way, and neither is past its middle.
downloads_begin() {
	local name
	download_start four 198.51.100.10
	download_start six '[fd01::100]'
	for name in four six; do
		wait_for 5 download_is_at $name 1000000 || return 1
	done
	! download_is_at four 6000000 && ! download_is_at six 6000000
}

downloads_stop() {
	local name
	for name in four six; do
		stop_pid "${download[$name]}"
		rm -f "$WORLD/$name"
	done
}

# A machine that was away for seconds has let them run on: then it is another two that the data plane dies under.
downloads_are_under_way() {
	local try
	for try in 1 2 3; do
		downloads_begin && return
		echo "try $try: the downloads were too quick, or did not begin"
		downloads_stop
	done
	return 1
}

download_ends() { # NAME
	wait "${download[$1]}" || fail "curl of $1: $(cat "$WORLD/$1.curl")"
	cmp "$WORLD/www/blob" "$WORLD/$1" || fail "$1 is not what the server sent"
}

declare -A download
downloads_go_on() {
	local name dataplane
	dataplane=$(dataplane_pid)
	downloads_are_under_way || { fail "no downloads under way"; return; }
	kill -KILL "$dataplane"
	for name in four six; do
		expect_not download_is_at $name 11000000
	done
	for name in four six; do
		download_ends $name
	done
	expect_not test "$(dataplane_pid)" = "$dataplane"
	# They are known flows again, and not just packets that happened to arrive.
	expect_number "flows of web" "$(service_field web .new_flows)" -ge 1
	expect_eq "packets of unknown flows" "$(drops_of web6 no_flow)" 0
	expect_within 5 backends_up 4
	expect_balance
}

dataplane_killed_often() {
	local n
	for n in 1 2 3; do
		expect_within 5 weir_answers default
		kill -KILL "$(dataplane_pid)"
		expect_within 5 fetch --max-time 0.3 $URL/
	done
	expect_within 3 as_when_running
}

both_killed() {
	local dataplane
	dataplane=$(dataplane_pid)
	kill -KILL "${weir_pid[default]}"
	kill -KILL "$dataplane"
	wait "${weir_pid[default]}"
	expect_within 3 ended "$dataplane"
	require_again weir_start
	expect_within 5 backends_up 4
	expect fetch $URL/
	expect_within 3 as_when_running
}

second_daemon_is_refused() {
	local status=0
	WEIR_RUN_DIR=$RUN at weir timeout 10 "$BUILD/weir-controld" --config "$WORLD/default.yaml" \
		--spawn-dataplane >"$WORLD/second.out" 2>&1 || status=$?
	cat "$WORLD/second.out"
	expect_eq "exit status" $status 1
	expect fetch $URL/
	expect weir_answers default
}

# It ends with status 1 and says these words: start_fails WORDS [ARGUMENT...]
start_fails() {
	local words=$1 status=0
	shift
	WEIR_RUN_DIR=$RUN at weir timeout 10 "$BUILD/weir-controld" --spawn-dataplane "$@" \
		>"$WORLD/failed.out" 2>&1 || status=$?
	cat "$WORLD/failed.out"
	expect_eq "exit status" $status 1
	expect grep -q "$words" "$WORLD/failed.out"
}

# Names of all files of the instance but its lock, and what is in its history.
files_of_default() {
	find "$RUN/default" -mindepth 1 ! -name controld.lock | sort
	sha256sum "$RUN/default/history"/*.json
}

# As what it needs is taken, or not to be had: the metrics' port, the control socket.
failed_start_leaves_nothing() {
	local port='metrics.listen: cannot listen on 127.0.0.1:9464'
	mkdir "$WORLD/state"
	expect nginx_start weir 127.0.0.1:9464
	{ cat "$WORLD/default.yaml"; echo 'metrics: {listen: "127.0.0.1:9464"}'; } >"$WORLD/taken.yaml"
	# The folders of an instance that has never been are not there afterwards.
	start_fails "$port" --instance other --config "$WORLD/taken.yaml"
	start_fails "$port" --instance other --config "$WORLD/taken.yaml" --state-dir "$WORLD/state"
	start_fails 'control.sock: ' --instance other --config "$WORLD/default.yaml" --socket "$WORLD/none/control.sock"
	expect_eq "left of it" "$(find "$RUN/other" "$WORLD/state" -mindepth 1 2>/dev/null)" ""
	expect_not test -e "$RUN/other"
	# Those of one that was killed stay as they are, its data plane goes on, and the next start has both.
	kill -KILL "${weir_pid[default]}"
	wait "${weir_pid[default]}"
	files_of_default >"$WORLD/files.before"
	start_fails "$port" --config "$WORLD/taken.yaml"
	files_of_default | expect diff "$WORLD/files.before" -
	expect fetch $URL/
	nginx_kill weir
	require_again weir_start
	expect_eq "entries of the history" "$(ctl --json config history | jq length)" 1
	expect_within 3 as_when_running
}

stopped() {
	local dataplane start status=0
	dataplane=$(dataplane_pid)
	load_start stopping -c 100 -r 200 -t 10 -T 0.3 -i 0.1 $URL/
	expect wait_for 3 load_is_flowing stopping 100
	start=$(milliseconds)
	weir_stop || status=$?
	expect_eq "exit status" $status 0
	expect_number "milliseconds to stop" $(($(milliseconds) - start)) -lt 3000
	expect ended "$dataplane"
	load_stop stopping
	expect_within 2 as_before_start
	as_before_start
}

killed_then_stopped() {
	require_again weir_start
	expect_within 5 backends_up 4
	kill -KILL "${weir_pid[default]}"
	wait "${weir_pid[default]}"
	require_again weir_start
	weir_stop
	expect_within 2 as_before_start
	as_before_start
}

scenario "a killed weir-controld costs no request, and the next one adopts the data plane" daemon_killed
scenario "a backend that dies meanwhile is noticed by the next weir-controld" death_during_absence
scenario "a killed weir-dataplane serves again within a second" dataplane_killed
scenario "downloads go on after the data plane was killed in the middle of them" downloads_go_on
scenario "a weir-dataplane that is killed again and again leaves nothing behind" dataplane_killed_often
scenario "both can be killed, and the next start is as the first" both_killed
scenario "a second weir-controld of the same name is refused" second_daemon_is_refused
scenario "a weir-controld that cannot start leaves nothing behind" failed_start_leaves_nothing
scenario "all packets are accounted for" expect_balance
scenario "a clean stop under load leaves nothing behind" stopped
scenario "a start that adopted cleans up what the killed one had added" killed_then_stopped
finish
