#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# What a service manager sees of Weir: readiness, status and signs of life by the sd_notify protocol, and
# processes that may do no more than they need. No systemd runs here: a receiver of our own stands in for it.

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
begin

URL=http://198.51.100.10

config() { # PORTS...
	CORES='[0-1]' config_head "$@"
	cat <<-'END'
	services:
	  - name: web
	    address: 198.51.100.10
	    port: 80
	    protocol: tcp
	    mode: nat
	    source-addresses: [10.2.0.100]
	    health: {type: tcp, interval: 200ms, timeout: 150ms}
	    backends:
	      - {address: 10.2.0.11, port: 8080}
	END
}

notify_receiver() { # NAME
	python3 "$TOP/tests/e2e/notify_watch.py" "$WORLD/$1.notify" "$WORLD/$1.said" &
	wait_for 5 test -S "$WORLD/$1.notify"
}

said() { # NAME PATTERN
	grep -qE "$2" "$WORLD/$1.said"
}

said_count() { # NAME PATTERN
	grep -cE "$2" "$WORLD/$1.said"
}

# Both processes, each as a unit of its own, the daemon after the data plane.
units_start() {
	notify_receiver dataplane
	notify_receiver controld
	NOTIFY_SOCKET=$WORLD/dataplane.notify WATCHDOG_USEC=1000000 WEIR_RUN_DIR=$RUN start_at weir \
		"$BUILD/weir-dataplane" --instance default --cores 0-1 --hugepages none --memory 192M \
		>>"$WORLD/dataplane.log" 2>&1 &
	dataplane=$!
	wait_for 20 said dataplane READY=1 || return 1
	NOTIFY_SOCKET=$WORLD/controld.notify WATCHDOG_USEC=1000000 WEIR_RUN_DIR=$RUN start_at weir \
		"$BUILD/weir-controld" --config "$WORLD/default.yaml" >>"$WORLD/controld-default.log" 2>&1 &
	weir_pid[default]=$!
	wait_for 20 said controld READY=1
}

ready_means_ready() {
	# The first answer after READY=1 has the configuration in force.
	expect_eq "in step" "$(ctl --json status | jq .in_step)" true
	expect said dataplane " $dataplane READY=1"
	expect said controld " ${weir_pid[default]} READY=1"
	expect_eq "READY of the data plane" "$(said_count dataplane READY=1)" 1
	expect_eq "READY of the daemon" "$(said_count controld READY=1)" 1
}

status_is_told() {
	expect_within 10 said controld 'STATUS=.*1 of 1 backends up'
	expect_within 10 said dataplane 'STATUS=.*1 service'
	cat "$WORLD"/*.said
}

more_signs_of_life() { # NAME COUNT
	[ "$(said_count "$1" WATCHDOG=1)" -gt "$2" ]
}

thread_of() { # NAME-PATTERN: of the data plane
	local task
	for task in /proc/"$dataplane"/task/*; do
		[[ $(<"$task/comm") =~ $1 ]] && basename "$task"
	done
}

# held NAME THREAD: with the thread held, no sign of life comes for longer than the watchdog allows.
held() {
	local before
	before=$(said_count "$1" WATCHDOG=1)
	expect_within 5 more_signs_of_life "$1" "$before"
	python3 "$TOP/tests/e2e/notify_watch.py" --hold "$2" 3 &
	local holder=$!
	wait_for 5 grep -q '^State:.*tracing' "/proc/$2/status"
	before=$(said_count "$1" WATCHDOG=1)
	wait $holder
	# One may have been on its way.
	expect_number "signs of life while $1 was held" $(($(said_count "$1" WATCHDOG=1) - before)) -le 1
	expect_within 5 more_signs_of_life "$1" $((before + 1))
}

stuck_main_loop() {
	held dataplane "$dataplane"
}

stuck_packet_core() {
	local thread
	for thread in $(thread_of 'worker|lcore' | sort -u); do
		[ "$thread" = "$dataplane" ] || held dataplane "$thread"
	done
}

stuck_daemon() {
	held controld "${weir_pid[default]}"
}

stuck_checks() {
	local task
	for task in /proc/"${weir_pid[default]}"/task/*; do
		[ "$(<"$task/comm")" != checks ] || held controld "$(basename "$task")"
	done
	expect test "$(cat /proc/"${weir_pid[default]}"/task/*/comm | grep -cx checks)" = 1
}

capabilities_of() { # PID-OR-TASK FIELD
	awk -v f="$2:" '$1 == f { print $2 }' "/proc/$1/status"
}

# NET_ADMIN 12, NET_RAW 13, IPC_LOCK 14, SYS_ADMIN 21, PERFMON 38, BPF 39
KEPT=000000c000207000
NONE=0000000000000000

privileges_are_few() { # PID
	local task packet=0
	expect_eq "bounding set" "$(capabilities_of "$1" CapBnd)" $KEPT
	expect_eq "no_new_privs" "$(awk '$1 == "NoNewPrivs:" { print $2 }' "/proc/$1/status")" 1
	for task in /proc/"$1"/task/*; do
		echo "$(<"$task/comm"): $(capabilities_of "$1/task/${task##*/}" CapEff)"
		expect_eq "bounding set of $(<"$task/comm")" \
			"$(capabilities_of "$1/task/${task##*/}" CapBnd)" $KEPT
		expect_eq "inheritable" "$(capabilities_of "$1/task/${task##*/}" CapInh)" $NONE
		expect_eq "ambient" "$(capabilities_of "$1/task/${task##*/}" CapAmb)" $NONE
		case $(<"$task/comm") in
		*worker*) # a packet core
			packet=$((packet + 1))
			expect_eq "effective" "$(capabilities_of "$1/task/${task##*/}" CapEff)" $NONE
			expect_eq "permitted" "$(capabilities_of "$1/task/${task##*/}" CapPrm)" $NONE
			;;
		esac
	done
	expect_eq "packet cores" $packet 2
}

main_privileges() {
	privileges_are_few "$dataplane"
}

port_is() { # NAME LINK
	[ "$(ctl --json port show "$1" | jq .link)" = "$2" ]
}

all_goes_on() {
	expect_eq "answer" "$(fetch $URL/)" hello
	# A port that a later configuration names, and one that is opened again because its interface went.
	link_add weir more b2 more
	config front=front back=back more=more >"$WORLD/more.yaml"
	expect ctl config apply "$WORLD/more.yaml" >/dev/null
	expect_eq "link of the new port" "$(ctl --json port show more | jq .link)" true
	expect fetch $URL/
	ip -n weir link del more
	expect_within 10 port_is more false
	link_add weir more b2 more
	expect_within 10 port_is more true
	expect fetch $URL/
}

stops_with_a_word() {
	stop_pid "${weir_pid[default]}"
	unset "weir_pid[default]"
	expect said controld STOPPING=1
	stop_pid "$dataplane"
	expect said dataplane STOPPING=1
}

# A data plane that the daemon starts must not speak to the daemon's manager.
child_is_silent() {
	notify_receiver whole
	NOTIFY_SOCKET=$WORLD/whole.notify WATCHDOG_USEC=1000000 weir_launch
	expect_within 20 said whole READY=1
	expect_within 10 fetch $URL/
	expect_eq "who spoke" "$(cut -d ' ' -f 2 "$WORLD/whole.said" | sort -u)" "${weir_pid[default]}"
	privileges_are_few "$(dataplane_pid)"
	kill -KILL "$(dataplane_pid)"
	expect_within 20 fetch $URL/
	privileges_are_few "$(dataplane_pid)"
	expect weir_stop
}

units_verify() {
	local prefix=$WORLD/prefix unit
	mkdir -p "$prefix/lib/systemd/system" "$prefix$BUILD"
	for unit in weir@ weir-controld@ weir-dataplane@; do
		# The programs are where they will be installed; here they are in the build folder.
		sed -E "s#^Exec([a-zA-Z]*)=/[^ ]*/(weir-[a-z]*)#Exec\\1=$BUILD/\\2#" \
			"$BUILD/config/systemd/$unit.service" >"$prefix/lib/systemd/system/${unit}t.service"
	done
	expect systemd-analyze verify --man=no --recursive-errors=no \
		"$prefix/lib/systemd/system/"*@t.service >"$WORLD/verify.out" 2>&1
	cat "$WORLD/verify.out"
	expect_not test -s "$WORLD/verify.out"
	for unit in weir@ weir-controld@ weir-dataplane@; do
		systemd-analyze security --offline=yes --threshold=60 \
			"$prefix/lib/systemd/system/${unit}t.service" >"$WORLD/security.out" 2>&1 ||
			fail "$unit is exposed by more than 6.0"
		tail -n 1 "$WORLD/security.out"
		echo "# $(tail -n 1 "$WORLD/security.out" | tr -cd '[:print:]')" >&3
	done
}

require topology_two_armed
require nginx_start b1 10.2.0.11:8080
config front=front back=back >"$WORLD/default.yaml"
require units_start

scenario "READY=1 comes once from each process, when it serves" ready_means_ready
scenario "the status line says what is served" status_is_told
scenario "a stuck main loop of the data plane gives no sign of life" stuck_main_loop
scenario "a stuck packet core gives no sign of life" stuck_packet_core
scenario "a stuck daemon gives no sign of life" stuck_daemon
scenario "a daemon whose checks are stuck gives no sign of life" stuck_checks
scenario "the data plane keeps few privileges, and its packet cores none" main_privileges
scenario "with these, configurations are applied and ports opened again" all_goes_on
scenario "the end is announced" stops_with_a_word
scenario "a data plane that the daemon starts does not speak for it" child_is_silent
if command -v systemd-analyze >/dev/null; then
	scenario "systemd finds nothing wrong with the units" units_verify
else
	skip_case "systemd finds nothing wrong with the units" "there is no systemd-analyze"
fi
finish
