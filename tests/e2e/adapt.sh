#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Adaptation on real traffic: what it decides, says and takes back; what operators can switch. How well it
# does is for the scenarios to judge (make scenarios).

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
begin

config() { # [ADAPT]
	config_head front=front back=back
	cat <<-END
	services:
	  - name: web
	    address: 198.51.100.10
	    port: 80
	    protocol: tcp
	    mode: nat
	    source-addresses: [10.2.0.100]
	    objective: {p99: 2s}
	    # The only client of this test would be policed for what a busy machine cannot do.
	    adapt: {sources: observe${1:+, $1}}
	    health: {type: tcp, interval: 60s, timeout: 2s, fall: 3}
	    backends:
	      - {address: 10.2.0.11, port: 8080}
	      - {address: 10.2.0.12, port: 8080}
	      - {address: 10.2.0.13, port: 8080}
	metrics: {listen: "127.0.0.1:9464"}
	END
}

origin_start() { # NUMBER MEAN
	start_at "b$1" "$BUILD/tests/tools/weir-origin" -c 64 -m "$2" -g 0 "10.2.0.1$1:8080" >"$WORLD/origin$1" &
}

require topology_two_armed
for n in 1 3; do
	require origin_start $n 0.005
done
require origin_start 2 0.2
config >"$WORLD/default.yaml"
require weir_start
require wait_for 20 backends_up 3

status_of() { # JQ
	ctl --json adapt status web | jq -r ".[0] | $1"
}

explained() { # JQ: a decision of which this is true
	ctl --json explain web --last 256 | jq -e "any(.[]; $1)"
}

weight_is() { # NUMBER JQ-CONDITION: of the weight in force of backend NUMBER
	backend_field web "10.2.0.1$1" .weight_in_force | jq -e "$2"
}

# What it does now, as `weirctl top` shows it in a terminal.
top_shows() { # PATTERN: in the line of the service
	term has-session 2>/dev/null || term -u -f /dev/null new-session -d -x 200 -y 24 \
		"env -u NO_COLOR LC_ALL=C.UTF-8 WEIR_RUN_DIR=$RUN TERM=screen-256color $BUILD/weirctl top"
	term capture-pane -p | grep -E "web .*$1"
}

term() { # TMUX COMMAND...
	tmux -S "$WORLD/tmux" "$@"
}

is_on() {
	expect_eq "modes" "$(status_of '.modes | [.weights, .shed, .sources, .forecast] | join(" ")')" "on on observe on"
	expect_eq "objective" "$(status_of .objective)" 2
	expect_eq "decisions without traffic" "$(ctl --json explain web)" "[]"
	expect weight_is 2 '. == 100'
	expect_within 10 top_shows ' calm'
	expect_eq "state of metrics" "$(at weir curl -sS http://127.0.0.1:9464/metrics |
		grep -c '^weir_adapt_mode{.*service="web".*} 2$')" 3
}

slow_one_loses() {
	load_start load -r 150 -c 300 -t 300 -T 3 -i 5 http://198.51.100.10/
	expect_within 20 weight_is 2 '. < 30'
	expect_within 20 weight_is 1 '. > 90'
	expect_within 10 top_shows ' 1 weights moved'
	expect_within 20 explained '.controller == "weights" and .action == "weight" and .object == "10.2.0.12:8080"
		and .from > .to and .inputs.latency > .inputs.pool_latency and .mode == "on"'
	expect_eq "newest first" "$(ctl --json explain web | jq '[.[].time] | . == (sort | reverse)')" true
	ctl explain web | tee "$WORLD/explained"
	expect_eq "sentences" "$(grep '10.2.0.12:8080 weight' "$WORLD/explained" | grep -cv ' weight .* -> .* against the pool')" 0
	expect_eq "events" "$(ctl --json events | jq 'any(.[]; .kind == "weight" and .object == "web 10.2.0.12:8080")')" true
}

pause_gives_back() {
	expect ctl adapt pause web
	expect_within 10 weight_is 2 '. == 100'
	expect_eq "paused" "$(status_of .paused)" true
	expect_within 10 top_shows ' paused'
	term kill-server
	expect_eq "warning" "$(ctl --json status | jq 'any(.warnings[]; contains("adaptation is paused"))')" true
	expect ctl adapt resume web
	expect_within 20 weight_is 2 '. < 30'
}

modes_by_hand() {
	expect ctl adapt set web weights off
	expect_within 10 weight_is 2 '. == 100'
	expect ctl adapt set web weights observe
	expect_within 20 explained '.mode == "observe" and .object == "10.2.0.12:8080"'
	expect weight_is 2 '. == 100'
	expect_not ctl adapt set web weights perhaps
	expect_not ctl adapt set lost weights on
	# The next apply takes back what was set by hand.
	config "shed: off" >"$WORLD/other.yaml"
	expect ctl config apply "$WORLD/other.yaml"
	expect_within 20 weight_is 2 '. < 30'
	expect_eq "shed" "$(status_of .modes.shed)" off
}

# On a busy machine all may stand still for seconds, with nothing to see in them.
traffic_recorded() { # OUT: the slow one answered in a third of the ticks, at least
	ctl adapt record web --out "$1" --for 3s &&
		jq -es '[.[1:][] | any(.backends[]; .address == "::ffff:10.2.0.12" and .answered > 0)]
			| 3 * (map(select(.)) | length) >= length' "$1"
}

recordings() {
	# While all get their share, so that there is something to see.
	expect ctl adapt set web weights observe
	expect_within 10 weight_is 2 '. == 100'
	expect_within 60 traffic_recorded "$WORLD/web.rec"
	expect_number "ticks recorded" "$(wc -l <"$WORLD/web.rec")" -gt 10
	ctl --json adapt replay "$WORLD/web.rec" >"$WORLD/replay.json"
	expect_eq "who replays" "$(jq -r .service "$WORLD/replay.json")" web
	# From the beginning, the slow one is found again; where only a hundred times is an outlier it is not.
	expect jq -e 'any(.decisions[]; .object == "10.2.0.12:8080" and .to < .from)' "$WORLD/replay.json"
	expect_eq "with other constants" "$(ctl --json adapt replay "$WORLD/web.rec" --set weights.out=100 \
		--set weights.band=100 | jq 'any(.decisions[]; .object == "10.2.0.12:8080" and .action == "weight")')" false
	head -c 500 "$WORLD/web.rec" >"$WORLD/cut.rec"
	expect_not ctl adapt replay "$WORLD/cut.rec"
	expect ctl adapt set web weights on
}

# The wire of b3 is cut: its check would need minutes to notice.
dead_one_is_ejected() {
	ip -n b3 link set eth0 down
	expect_within 20 weight_is 3 '. == 0'
	expect_within 20 explained '.action == "eject" and .object == "10.2.0.13:8080" and
		(.inputs.syn_unanswered >= 5 or .inputs.silent_asked >= 3)'
	expect_eq "health of b3" "$(backend_field web 10.2.0.13 .health.verdict)" good
}

# What is in force outlives the daemon, and the next one goes on.
daemon_dies() {
	local before
	before=$(dataplane_pid)
	weir_dies
	cp "$WORLD/other.yaml" "$WORLD/default.yaml"
	expect weir_start
	expect_eq "pid of the data plane" "$(dataplane_pid)" "$before"
	expect_within 30 weight_is 2 '. < 30'
	load_stop load
	expect_within 20 sums_balance
}

by_hand() { # what is in force: modes of weights and shed, paused
	status_of '[.modes.weights, .modes.shed, (.paused | tostring)] | join(" ")'
}

weir_dies() {
	kill -KILL "${weir_pid[default]}"
	wait "${weir_pid[default]}" 2>/dev/null
}

# What operators have set stays until they undo it, whatever becomes of the daemon.
by_hand_stays() {
	local file=$RUN/default/history/adapt.json
	expect ctl adapt set web weights observe
	expect ctl adapt set web shed on
	expect ctl adapt pause web
	weir_dies
	expect weir_start
	expect_eq "after SIGKILL" "$(by_hand)" "observe on true"
	expect_eq "warnings" "$(ctl --json status | jq '[.warnings[] | select(contains("adaptation is paused") or
		contains("adapt.weights is observe, set by hand"))] | length')" 2
	expect ctl adapt resume web
	expect weir_stop
	expect weir_start
	expect_within 20 weight_is 2 '. == 100'
	expect_eq "after a restart" "$(by_hand)" "observe on false"
	expect ctl adapt pause
	weir_dies
	expect weir_start
	expect_eq "all are paused" "$(by_hand)" "observe on true"
	# Another configuration takes modes back, as an apply does; a pause is not of the configuration.
	weir_dies
	config "forecast: off" >"$WORLD/default.yaml"
	expect weir_start
	expect_eq "with an edited file" "$(by_hand)" "on on true"
	expect ctl adapt resume
	expect_not test -e "$file"
}

bad_file_is_refused() {
	local file=$RUN/default/history/adapt.json
	expect ctl adapt pause
	weir_dies
	sed -i 's/"paused": true/"paused": "yes"/' "$file"
	expect weir_start
	expect_eq "as configured" "$(by_hand)" "on on false"
	expect_eq "warning" "$(ctl --json status | jq 'any(.warnings[]; contains("adapt.json is not used"))')" true
	expect ctl adapt set web shed observe
	expect_eq "warning" "$(ctl --json status | jq 'any(.warnings[]; contains("adapt.json is not used"))')" false
	weir_dies
	expect weir_start
	expect_eq "written anew" "$(by_hand)" "on observe false"
}

scenario "an objective switches adaptation on, and nothing is decided without need" is_on
scenario "a backend forty times slower loses its new flows, and it is said why" slow_one_loses
scenario "a pause gives all back that is configured" pause_gives_back
scenario "controllers are switched by hand, until the next apply" modes_by_hand
scenario "signals are recorded, and decided upon again with other constants" recordings
scenario "a backend that answers nothing is ejected before its health check knows" dead_one_is_ejected
scenario "the daemon dies and comes back: adaptation goes on" daemon_dies
scenario "what is set by hand outlives the daemon, until it is undone" by_hand_stays
scenario "a file of it that is wrong is refused, and all is as configured" bad_file_is_refused
finish
