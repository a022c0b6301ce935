#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# weirctl top in a real terminal (tmux), on a real Weir with traffic.
#
# With TOP_CAPTURES=FOLDER the screens that the documentation shows are written there, see scripts/top-captures.

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
	    health: {type: http, path: /healthz, interval: 200ms, timeout: 150ms}
	    backends:
	      - {address: 10.2.0.11, port: 8080, weight: 200}
	      - {address: 10.2.0.12, port: 8080}
	      - {address: 10.2.0.13, port: 8080}
	  - name: api
	    address: 198.51.100.11
	    port: 80
	    protocol: tcp
	    mode: nat
	    source-addresses: [10.2.0.101]
	    health: {type: http, path: /healthz, interval: 200ms, timeout: 150ms}
	    backends:
	      - {address: 10.2.0.11, port: 8080}
	END
}

# --- a terminal -------------------------------------------------------------------------------

term() { # TMUX COMMAND...
	tmux -S "$WORLD/tmux" "$@"
}

# top_start [OPTION...]: in a terminal of 100 x 24, from a shell, to see what it leaves behind.
top_start() {
	if ! term has-session; then
		env -u NO_COLOR LC_ALL=C.UTF-8 tmux -S "$WORLD/tmux" -u -f /dev/null \
			new-session -d -x 100 -y 24 \
			"env WEIR_RUN_DIR=$RUN TERM=screen-256color PS1='shell> ' bash --norc"
		term set-option -g status off
	fi
	keys "clear; $(printf '%q ' "$BUILD/weirctl" top "$@")" Enter
	expect_within 10 screen_has "weirctl top   instance default"
}

keys() {
	term send-keys "$@"
}

screen() {
	term capture-pane -p
}

screen_has() { # EXTENDED REGULAR EXPRESSION
	screen | grep -qE -- "$1"
}

screen_lacks() {
	! screen_has "$1"
}

shows() { # EXPRESSION
	wait_for 10 screen_has "$1" && return
	screen
	fail "the screen does not show: $1"
}

row_of() { # TEXT: in which line it first stands
	screen | grep -n -m 1 -- "$1" | cut -d : -f 1
}

keep() { # NAME: for the documentation
	[ -z "${TOP_CAPTURES:-}" ] || screen | sed 's/ *$//' >"$TOP_CAPTURES/$1.txt"
}

is_back_in_the_shell() {
	expect_within 10 screen_lacks "weirctl top   instance"
	# Echo and lines work: the terminal is as it was.
	keys "stty -a | grep -ow -e 'echo' -e 'icanon' | sort | tr '\n' '+'; echo ended" Enter
	shows '^echo\+icanon\+ended'
}

# --- cases ------------------------------------------------------------------------------------

pages() {
	top_start
	shows 'data plane running, pid [0-9]+'
	shows '^ NAME +IN/s +OUT/s +DROP/s'
	# Rates, not counters: the load is some hundred requests a second, of ten packets or so.
	shows '^.web +[0-9.]+k? '
	shows '^in [0-9.]+k?/s '
	shows 'q quit  \? help'
	keep services
	keys 2
	shows '^ SERVICE +BACKEND +STATE'
	shows '^.web +10\.2\.0\.12:8080 +up +100 '
	shows '^.api +10\.2\.0\.11:8080 +up '
	keys 3
	shows '^ *CPU +NODE +BUSY'
	shows '^> +0 +0 .* %.*receive,worker'
	keep cores
	keys '?'
	shows 'scroll columns sideways'
	keep help
	keys x
	shows '^ *CPU +NODE +BUSY'
	keys Tab
	shows 'time in Weir, from receive to transmit'
}

selection_and_order() {
	keys 1
	shows '^ NAME'
	keys G # to the last one: api, as configured
	expect_within 10 screen_has '2 of 2'
	keys Enter
	shows 'of service api'
	expect screen_lacks '^.web +10\.2\.0\.12'
	keys Escape
	shows '^ NAME'
	# By packets in: web has most of the traffic; turned around, api has.
	keys s s
	shows 'IN/s v'
	expect_within 10 web_is_above_api
	keys r
	shows 'IN/s \^'
	expect_within 10 api_is_above_web
	# The selection stays with the service.
	expect screen_has '1 of 2'
	keys r
	expect_within 10 web_is_above_api
	expect_within 10 screen_has '2 of 2'
}

web_is_above_api() {
	[ "$(row_of '^.web ')" -lt "$(row_of '^.api ')" ]
}

api_is_above_web() {
	[ "$(row_of '^.api ')" -lt "$(row_of '^.web ')" ]
}

histograms() {
	keys g Enter
	shows 'of service web  1 of 3'
	keys Down
	expect_within 10 screen_has '2 of 3'
	shows '^>web +10\.2\.0\.12:8080 +up +100 +[0-9.]+k? +[0-9.]+ '
	keep backends
	keys Enter
	shows 'connect, from SYN to SYN-ACK.*web 10\.2\.0\.12:8080'
	keys m
	shows 'first byte, from request to response.*web 10\.2\.0\.12:8080'
	shows 'count [0-9.]+k?  +mean [0-9.]+ [mu]s'
	shows '█'
	shows '100\.00 %'
	keys t
	shows 'since the start'
	keep histogram
	keys Down
	shows 'since the start +web 10\.2\.0\.13:8080'
	keys Escape
	shows '^ SERVICE +BACKEND'
}

sizes() {
	keys 1
	shows '^ NAME'
	term resize-window -x 60 -y 12
	expect_within 10 screen_is 60 12
	shows 'q quit'
	shows '^.web '
	term resize-window -x 30 -y 4
	shows 'too small a window'
	term resize-window -x 140 -y 30
	shows 'ADDRESS +PROTO'
	shows '198\.51\.100\.10:80 +tcp +nat'
	expect_eq "line of the keys" "$(row_of 'q quit')" 30
	term resize-window -x 100 -y 24
	shows 'q quit'
	keys Right Right
	shows '^.NAME +DROP/s'
	keys Left Left
	shows '^ NAME +IN/s'
}

screen_is() { # COLUMNS LINES
	[ "$(screen | wc -l)" = "$2" ] && [ "$(screen | awk '{ if (length > n) n = length } END { print n }')" -le "$1" ]
}

daemon_goes_and_comes() {
	kill -KILL "${weir_pid[default]}"
	shows 'no weir-controld on .*control\.sock; for [0-9]+ s now, waiting'
	# What was known is still there, and keys are answered.
	expect screen_has '^.web '
	keys 3
	shows '^ *CPU +NODE +BUSY'
	keys 1
	shows '^.web '
	weir_start
	shows 'data plane running, pid'
	shows '^in [0-9.]+k?/s '
	kill -STOP "${weir_pid[default]}"
	shows 'does not answer'
	keys '?'
	shows 'scroll columns sideways'
	keys x
	kill -CONT "${weir_pid[default]}"
	shows 'data plane running, pid'
	kill -KILL "$(dataplane_pid)"
	expect_within 20 backends_up 4
	shows 'data plane running, pid'
	shows '^in [0-9.]+k?/s '
}

pause_and_pace() {
	keys p
	shows 'PAUSED'
	keys p
	expect_within 10 screen_lacks PAUSED
	keys -
	shows 'every 2 s'
	keys + +
	shows 'every 0.5 s'
	keys c
	shows '^.web '
}

ends() {
	local signal
	keys q
	is_back_in_the_shell
	for signal in TERM INT HUP; do
		top_start --no-color --interval 0.5 --page cores
		shows '^ *CPU +NODE +BUSY'
		shows 'every 0.5 s'
		pkill "-$signal" -x -f "$BUILD/weirctl top .*"
		is_back_in_the_shell
	done
	top_start
	keys C-c
	is_back_in_the_shell
}

# On a busy machine the daemon may be held up in the middle of an answer, for longer than its figures are fresh.
held_up() {
	local answers
	answers=$(python3 - "$RUN/default/control.sock" "${weir_pid[default]}" <<-'END'
	import json, os, random, signal, socket, sys, threading, time
	path, pid = sys.argv[1], int(sys.argv[2])
	end, answers = time.monotonic() + 4, 0
	with socket.socket(socket.AF_UNIX) as s:
	    s.settimeout(10)
	    s.connect(path)
	    stream = s.makefile("rw")

	    def hold():
	        while time.monotonic() < end:
	            os.kill(pid, signal.SIGSTOP)
	            time.sleep(0.02)
	            os.kill(pid, signal.SIGCONT)
	            time.sleep(random.uniform(0, 0.002))

	    holder = threading.Thread(target=hold)
	    holder.start()
	    while time.monotonic() < end:
	        stream.write(json.dumps({"jsonrpc": "2.0", "id": 1, "method": "live.show", "params": {"backends": True}}) + "\n")
	        stream.flush()
	        answer = json.loads(stream.readline())["result"]
	        if [c["services"] for c in answer["cores"]] != [["web", "api"]] or len(answer["backends"]) != 4:
	            sys.exit(f"not the figures of one moment: {answer}")
	        answers += 1
	    holder.join()
	print(answers)
	END
	)
	expect_number "answers" "${answers:-0}" -gt 50
	expect kill -0 "${weir_pid[default]}"
}

refusals() {
	local status=0
	ctl top </dev/null || status=$?
	expect_eq "without a terminal" $status 1
	status=0
	ctl top --json || status=$?
	expect_eq "with --json" $status 2
	status=0
	ctl top --interval 0 || status=$?
	expect_eq "with a wrong interval" $status 2
	keys "clear; $BUILD/weirctl top --socket /nowhere/control.sock; echo status \$?" Enter
	shows 'no weir-controld on /nowhere/control.sock'
	shows 'status 3'
	keys "clear; TERM=none $BUILD/weirctl top --socket $RUN/default/control.sock; echo status \$?" Enter
	shows 'terminal of type "none"'
	shows 'status 1'
}

require topology_two_armed
for n in 1 2 3; do
	require nginx_start "b$n" "10.2.0.1$n:8080"
done
config >"$WORLD/default.yaml"
# What is freed is nothing's any more: see held_up.
MALLOC_PERTURB_=165 require weir_start
require wait_for 10 backends_up 4
load_start web -c 8 -r 300 -t 300 http://198.51.100.10/
load_start api -c 2 -r 30 -t 300 http://198.51.100.11/

scenario "it shows services, backends, cores with rates" pages
scenario "selection and order follow the keys" selection_and_order
scenario "histograms of a backend are drawn" histograms
scenario "it survives every size of the window" sizes
scenario "an answer is of one moment, though the daemon is held up in the middle of it" held_up
scenario "it waits for a daemon or data plane that is gone, and goes on" daemon_goes_and_comes
scenario "it can be paused, and refreshes as often as wanted" pause_and_pace
scenario "however it ends, the terminal is as it was" ends
scenario "where it cannot run it says so" refusals
load_stop web
load_stop api
finish
