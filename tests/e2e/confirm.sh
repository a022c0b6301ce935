#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Going back: by itself when nobody confirms, by hand, and over the death of the daemon.

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
begin

# config WEIGHT: the weight of the first backend tells the configurations apart.
config() {
	config_head front=front back=back
	cat <<-END
	services:
	  - name: web
	    address: 198.51.100.10
	    port: 80
	    protocol: tcp
	    mode: nat
	    source-addresses: [10.2.0.100]
	    health: {type: tcp, interval: 200ms, timeout: 150ms, rise: 1, fall: 2}
	    backends:
	      - {address: 10.2.0.11, port: 8080, weight: $1}
	END
}

apply() { # WEIGHT [OPTION...]
	config "$1" >"$WORLD/w$1.yaml"
	ctl config apply "$WORLD/w$1.yaml" "${@:2}"
}

# What the operator is shown, and what the data plane does.
weight_is() {
	[ "$(ctl config show | sed -n 's/.*weight: \([0-9]*\).*/\1/p')" = "$1" ] &&
		[ "$(backend_field web 10.2.0.11 .weight_in_force)" = "$1" ]
}

history() { # JQ, on the list, newest first
	ctl --json config history | jq -r "$1"
}

kill_daemon() {
	kill -KILL "${weir_pid[default]}"
	wait "${weir_pid[default]}"
}

waits() {
	[ "$(ctl --json status | jq '.configuration.confirm_within')" != null ]
}

URL=http://198.51.100.10

require topology_two_armed
require nginx_start b1 10.2.0.11:8080
config 100 >"$WORLD/default.yaml"
require weir_start
require wait_for 10 backends_up 1

first_entry() {
	expect_eq "entries" "$(history length)" 1
	expect_eq "entry" "$(history '.[0] | [.number, .how, .by, .state] | tojson')" \
		'[1,"start",null,"in force"]'
	expect_not ctl config undo
	expect_not ctl config confirm
}

by_itself() {
	expect apply 50 --confirm 1500ms
	expect weight_is 50
	expect waits
	expect grep -q 'weirctl config confirm' <(ctl --json status | jq -r '.warnings[]')
	expect_eq "state" "$(history '.[0].state')" "waits for confirmation"
	load_start going_back -c 8 -r 100 -t 20 -i 0.1 $URL/
	expect_within 5 weight_is 100
	expect wait_for 5 load_is_flowing going_back 100
	load_stop going_back
	expect_no_failures going_back
	expect_not waits
	expect_eq "history" "$(history '.[:2][] | [.how, .of, .by.user, .state] | tojson' | tr '\n' ' ')" \
		'["rollback",1,null,"in force"] ["apply",null,"root","not confirmed"] '
	expect grep -q 'default.yaml is in force again: rolled back by weir-controld' <(ctl events)
	expect_not ctl config confirm
}

confirmed() {
	expect apply 60 --confirm 2s
	expect ctl config confirm
	expect_not waits
	# Longer than it would have waited, measured by another one that goes back.
	expect apply 61 --confirm 2500ms
	expect_within 6 weight_is 60
	expect grep -q 'confirmed by root (pid ' <(ctl events)
}

plain_apply_is_for_good() {
	expect apply 70 --confirm 1s
	expect apply 71
	expect_not waits
	# The same again, without --confirm, is a confirmation.
	expect apply 72 --confirm 1s
	expect apply 72
	expect_not waits
	expect apply 73 --confirm 1500ms
	expect_within 5 weight_is 72
}

undone() {
	expect ctl config undo
	expect weight_is 71
	expect ctl config undo
	expect weight_is 70
	expect apply 80 --confirm 60s
	expect ctl config undo
	expect weight_is 70
	expect_not waits
	local number
	number=$(history '[.[] | select(.file | endswith("/w60.yaml"))][-1].number')
	expect ctl config undo "$number"
	expect weight_is 60
	expect_eq "how" "$(history '.[0] | [.how, .of, .by.user] | tojson')" "[\"undo\",$number,\"root\"]"
	expect_not ctl config undo 12345
	expect weight_is 60
}

killed_and_back_in_time() {
	expect apply 90 --confirm 4s
	kill_daemon
	require weir_start
	# It still waits, for the rest of the time.
	expect waits
	expect weight_is 90
	expect_within 8 weight_is 60
	expect apply 91 --confirm 60s
	kill_daemon
	require weir_start
	expect ctl config confirm
	kill_daemon
	require weir_start
	expect weight_is 91
	expect_not waits
}

over() { # MILLISECONDS of time
	[ "$(milliseconds)" -gt "$1" ]
}

killed_and_back_too_late() {
	local end
	expect apply 92 --confirm 700ms
	end=$(($(milliseconds) + 800))
	kill_daemon
	expect fetch $URL/
	expect wait_for 3 over $end
	require weir_start
	expect_within 5 weight_is 91
	expect_not waits
	expect_eq "how" "$(history '.[0].how')" rollback
	expect grep -q 'was not confirmed in time' "$WORLD/controld-default.log"
}

goes_on_after_all_has_ended() {
	expect weir_stop
	require weir_start
	expect_within 5 weight_is 91
	expect grep -q 'going on with configuration .* of the history' "$WORLD/controld-default.log"
	kill -KILL "$(dataplane_pid)"
	kill_daemon
	require weir_start
	expect_within 5 weight_is 91
}

edited_file_wins() {
	kill_daemon
	config 30 >"$WORLD/default.yaml"
	require weir_start
	expect_within 5 weight_is 30
	expect_eq "how" "$(history '.[0].how')" start
	# The file is applied by hand, and undone: that was the last word, not the file.
	config 31 >"$WORLD/default.yaml"
	expect ctl config apply "$WORLD/default.yaml"
	expect ctl config undo
	kill_daemon
	require weir_start
	expect weight_is 30
	# SIGHUP is an apply as well.
	kill -HUP "${weir_pid[default]}"
	expect_within 5 weight_is 31
	expect_eq "how" "$(history '.[0].how')" reload
}

damaged_history() {
	local number
	expect apply 40
	expect apply 41
	number=$(history '.[0].number')
	kill_daemon
	printf 'X' | dd of="$RUN/default/history/$(printf %08d "$number").json" bs=1 seek=300 conv=notrunc status=none
	: >"$WORLD/controld-default.log"
	require weir_start
	expect_within 5 weight_is 40
	expect grep -q "$(printf %08d "$number").json is not used: " "$WORLD/controld-default.log"
	expect apply 42
	expect_number "its number" "$(history '.[0].number')" -gt "$number"
	kill_daemon
	for number in "$RUN"/default/history/*.json; do
		: >"$number"
	done
	require weir_start
	expect_within 5 weight_is 31
	expect_within 5 backends_up 1
	expect fetch $URL/
}

refused_change_keeps_the_wait() {
	local status=0
	expect apply 20 --confirm 2s
	config 21 | sed 's/device: back/device: nowhere/' >"$WORLD/bad.yaml"
	ctl config apply "$WORLD/bad.yaml" || status=$?
	expect_eq "exit status" $status 1
	expect waits
	expect_within 6 weight_is 31
}

scenario "the history begins with the file" first_entry
scenario "what nobody confirms goes back by itself, and no request is lost" by_itself
scenario "what is confirmed stays" confirmed
scenario "a plain apply is for good, also of what waits" plain_apply_is_for_good
scenario "undo goes back, and further back, and to any entry" undone
scenario "a daemon that is killed and back in time still waits" killed_and_back_in_time
scenario "a daemon that is killed and back too late goes back at once" killed_and_back_too_late
scenario "the last configuration goes on after everything has ended" goes_on_after_all_has_ended
scenario "a file that was edited later wins, one that was undone does not" edited_file_wins
scenario "damaged files of the history are passed over" damaged_history
scenario "a refused change does not end the wait for a confirmation" refused_change_keeps_the_wait
finish
