#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# weir-probe on the backends of a dsr service: what it tells, and what is made of it.

# Each backend is a cgroup of its own, as each would be a host. They are made before the world, which
# could not take them away: a cgroup goes only after the processes in it.
if [ -z "${WEIR_WORLD:-}" ] && [ "$(id -u)" = 0 ]; then
	root=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)
	mounted=
	if [ -z "$root" ]; then
		mounted=$(mktemp -d)
		mount -t cgroup2 none "$mounted" && root=$mounted
	fi
	export CGROUPS=$root/weir-test-$$
	mkdir "$CGROUPS" "$CGROUPS"/b{1,2,3} || { echo "1..0 # SKIP no cgroups of version 2"; exit 0; }
	cgroups_remove() {
		local n
		for n in {1..150}; do
			rmdir "$CGROUPS"/b{1,2,3} "$CGROUPS" 2>/dev/null
			[ -e "$CGROUPS" ] || break
			sleep 0.02
		done
		[ -z "$mounted" ] || { umount "$mounted" && rmdir "$mounted"; }
	}
	trap cgroups_remove EXIT
fi

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
begin

TOOL=$TOP/tests/e2e/probe_datagrams.py
KEY=$WORLD/key
declare -A probe_pid origin_pid

config() {
	config_head front=front
	cat <<-'END'
	services:
	  - name: web
	    address: 10.1.0.110
	    port: 80
	    protocol: tcp
	    mode: dsr
	    health: {type: none}
	    backends:
	      - {address: 10.1.0.11, port: 80}
	      - {address: 10.1.0.12, port: 80}
	      - {address: 10.1.0.13, port: 80}
	  - name: echo
	    address: 10.1.0.110
	    port: 9000
	    protocol: udp
	    mode: dsr
	    health: {type: none}
	    backends:
	      - {address: 10.1.0.11, port: 9000}
	END
	printf '%s\n' "$@"
}

# in_backend N COMMAND... &: on backend N, also as far as cgroups are concerned.
in_backend() {
	echo 0 >"$CGROUPS/b$1/cgroup.procs"
	start_at "b$1" "${@:2}"
}

origin_start() { # N MEAN
	in_backend "$1" "$BUILD/tests/tools/weir-origin" -c 64 -m "$2" -g 0 10.1.0.110:80 >"$WORLD/origin$1" &
	origin_pid[$1]=$!
}

probe_start() { # N [ARGUMENT...]
	local echo=()
	[ "$1" != 1 ] || echo=(--service 10.1.0.110:9000/udp)
	start_at "b$1" "$BUILD/weir-probe" --cgroup "$CGROUPS/b$1" --service 10.1.0.110:80 "${echo[@]}" \
		--key-file "$KEY" --interval 50ms "${@:2}" >>"$WORLD/probe$1.log" 2>&1 &
	probe_pid[$1]=$!
}

attached() { # N: how many programs hang on its cgroup
	# It prints nothing at all when there are none.
	bpftool -j cgroup show "$CGROUPS/b$1" | jq -s 'map(length) | add // 0'
}

probe_is_attached() { # N
	[ "$(attached "$1")" = 3 ]
}

told() { # N PORT JQ
	"$TOOL" sum "$WORLD/datagrams" "10.1.0.1$1" "$2" | jq -r "$3"
}

answers_told() { # of all backends
	echo $(($(told 1 80 .first_byte.count) + $(told 2 80 .first_byte.count) + $(told 3 80 .first_byte.count)))
}

all_is_told() { # COUNT
	[ "$(answers_told)" = "$1" ]
}

require topology_one_switch
dsr_addresses 10.1.0.110
head -c 24 /dev/urandom | base64 >"$KEY"
chmod 600 "$KEY"
origin_start 1 0.02
origin_start 2 0.02
origin_start 3 0.2
in_backend 1 "$BUILD/tests/tools/weir-udp" serve b1 10.1.0.110 9000 &
config >"$WORLD/default.yaml"
require weir_start
require wait_for 10 backends_up 4
start_at weir "$TOOL" listen 10.1.0.1 9469 "$KEY" "$WORLD/datagrams" &
listener=$!
require wait_for 5 grep -q ready "$WORLD/datagrams"

figures_are_the_clients() {
	for n in 1 2 3; do
		probe_start $n --to 10.1.0.1:9469
		expect_within 5 probe_is_attached $n
	done
	load_start some -c 12 -n 300 http://10.1.0.110/1
	load_wait some
	expect_no_failures some
	expect_within 5 all_is_told 300
	for n in 1 2 3; do
		told $n 80 .
		expect_number "answers of b$n" "$(told $n 80 .first_byte.count)" -ge 10
		expect_eq "connections of b$n" "$(told $n 80 .connect.count)" "$(told $n 80 .first_byte.count)"
		expect_eq "SYNs at b$n" "$(told $n 80 .syns)" "$(told $n 80 .first_byte.count)"
		expect_eq "requests at b$n" "$(told $n 80 .requests)" "$(told $n 80 .first_byte.count)"
		expect_eq "waiting at b$n" "$(told $n 80 .waiting)" 0
		expect_number "connect p50 of b$n" "$(told $n 80 .connect.p50)" -lt 0.005
	done
	for n in 1 2; do
		expect_number "p50 of b$n" "$(told $n 80 .first_byte.p50)" -gt 0.0195
		expect_number "p50 of b$n" "$(told $n 80 .first_byte.p50)" -lt 0.03
	done
	expect_number "p50 of b3" "$(told 3 80 .first_byte.p50)" -gt 0.195
	expect_number "p50 of b3" "$(told 3 80 .first_byte.p50)" -lt 0.22
}

kept_alive_requests_are_told_one_by_one() {
	local before open
	before=$(answers_told)
	load_start kept -c 6 -n 240 -k 0 http://10.1.0.110/1
	load_wait kept
	expect_no_failures kept
	expect_within 5 all_is_told $((before + 240))
	open=$(($(told 1 80 .open) + $(told 2 80 .open) + $(told 3 80 .open)))
	expect_eq "connections open at the end" $open 0
}

# While the server stands still, requests wait and none is answered.
waiting_is_told() {
	kill -STOP "${origin_pid[1]}"
	load_start stalled -c 9 -n 9 -T 8 http://10.1.0.110/1
	expect_within 5 waits
	kill -CONT "${origin_pid[1]}"
	load_wait stalled
	expect_within 5 nothing_waits
}

waits() {
	[ "$(told 1 80 .waiting)" -ge 1 ]
}

nothing_waits() {
	[ "$(told 1 80 '.waiting + .open')" = 0 ]
}

udp_is_told() {
	expect at client "$BUILD/tests/tools/weir-udp" send -f 8 -n 10 -r 200 10.1.0.110 9000 >"$WORLD/udp.json"
	expect_within 5 udp_answers_are 80
	expect_number "p50" "$(told 1 9000 .first_byte.p50)" -lt 0.01
}

udp_answers_are() {
	[ "$(told 1 9000 .first_byte.count)" = "$1" ]
}

# Connections that are older than the probe are taken up; nothing of the dead one is left.
killed_probe_leaves_nothing() {
	local before
	load_start long -T 5 -c 60 -t 300 -k 0 -r 60 -i 0.2 http://10.1.0.110/1
	expect wait_for 5 load_is_flowing long 30
	for n in 1 2 3; do
		kill -KILL "${probe_pid[$n]}"
		wait "${probe_pid[$n]}" 2>/dev/null
		expect_within 5 nothing_is_attached $n
	done
	before=$(answers_told)
	expect load_is_flowing long 30
	for n in 1 2 3; do
		probe_start $n --to 10.1.0.1:9469
	done
	expect_within 10 more_is_told $((before + 60))
	expect_eq "runs of b1's probe" "$(told 1 80 .boots)" 2
	expect_eq "waiting at b1, of connections whose end is not told" "$(told 1 80 .waiting)" 0
	load_stop long >"$WORLD/long.end"; tail -n 1 "$WORLD/long.end"
	expect_no_failures long
	for n in 1 2 3; do
		stop_pid "${probe_pid[$n]}"
		expect_eq "status of b$n's probe" $? 0
		expect_eq "programs at b$n" "$(attached $n)" 0
		cat "$WORLD/probe$n.log"
		expect_not test -s "$WORLD/probe$n.log"
	done
}

nothing_is_attached() {
	[ "$(attached "$1")" = 0 ]
}

more_is_told() {
	[ "$(answers_told)" -ge "$1" ]
}

refused() { # TEXT ARGUMENT...
	local text=$1 status=0
	shift
	at b1 timeout 5 "$BUILD/weir-probe" "$@" 2>"$WORLD/refused" || status=$?
	cat "$WORLD/refused"
	expect_number "status of weir-probe $*" $status -lt 3
	expect_number "status of weir-probe $*" $status -gt 0
	expect grep -qF -- "$text" "$WORLD/refused"
}

wrong_arguments_are_refused() {
	local good=(--service 10.1.0.110:80 --to 10.1.0.1:9469 --key-file "$KEY")
	refused "--service" --to 10.1.0.1:9469 --key-file "$KEY"
	refused "IPv6 address in brackets" "${good[@]}" --service fd01::110:80
	refused "each service once" "${good[@]}" --service 10.1.0.110:80/tcp
	refused "20ms to 10s" "${good[@]}" --interval 1ms
	refused "a folder of cgroup version 2" "${good[@]}" --cgroup /proc
	refused "both IPv4 or both IPv6" "${good[@]}" --from fd01::11
	echo short >"$WORLD/short"
	chmod 600 "$WORLD/short"
	refused "at least 16 bytes" --service 10.1.0.110:80 --to 10.1.0.1:9469 --key-file "$WORLD/short"
	cp "$KEY" "$WORLD/open"
	chmod 644 "$WORLD/open"
	refused "mode 600 or 640" --service 10.1.0.110:80 --to 10.1.0.1:9469 --key-file "$WORLD/open"
}

scenario "the figures are what the clients saw" figures_are_the_clients
scenario "requests of kept-alive connections are told one by one" kept_alive_requests_are_told_one_by_one
scenario "requests that wait are told" waiting_is_told
scenario "UDP answers are told" udp_is_told
scenario "a probe that is killed leaves nothing, and the next one goes on" killed_probe_leaves_nothing
scenario "wrong arguments are refused with a reason" wrong_arguments_are_refused
stop_pid $listener

# From here on the daemon listens.
DAEMON=(10.1.0.1 9469)

status_of() { # JQ
	ctl --json status | jq -r ".probes | $1"
}

first_byte() { # N PERCENTILE
	backend_field web "10.1.0.1$1" ".first_byte.$2"
}

is_about() { # N SECONDS: the first byte's p50 of backend N, as the daemon shows it
	first_byte "$1" p50 | jq -e --argjson s "$2" '. != null and . > 0.9 * $s and . < 1.4 * $s'
}

refused_are() { # REASON COUNT
	[ "$(status_of ".refused.$1 // 0")" = "$2" ]
}

weight_is() { # N JQ-CONDITION
	backend_field web "10.1.0.1$1" .weight_in_force | jq -e "$2"
}

metric_is() { # SAMPLE-PATTERN VALUE
	at weir curl -sS http://127.0.0.1:9464/metrics | grep -q "^$1 $2\$"
}

daemon_shows_it() {
	config 'metrics: {listen: "127.0.0.1:9464"}' "probes: {listen: '10.1.0.1:9469', key-file: key}" \
		>"$WORLD/probes.yaml"
	expect ctl config apply "$WORLD/probes.yaml"
	for n in 1 2 3; do
		probe_start $n --to 10.1.0.1:9469
	done
	expect_within 5 told_of 4
	load_start shown -c 60 -r 100 -t 300 -T 5 -i 1 http://10.1.0.110/1
	expect_within 10 is_about 1 0.02
	expect_within 10 is_about 2 0.02
	expect_within 10 is_about 3 0.2
	expect_number "connect p50" "$(backend_field web 10.1.0.11 .connect.p50)" -lt 0.01
	expect_number "age of the report" "$(backend_field web 10.1.0.11 .probe.age)" -lt 1
	expect_within 3 metric_is 'weir_probe_backends{.*}' 4
	expect_eq "refused" "$(status_of .refused)" "{}"
}

told_of() {
	[ "$(status_of .backends)" = "$1" ]
}

# A stranger, a thief, a replay: each would have b1 as slow as 50 s.
bad_datagrams_change_nothing() {
	local hour=$((3600 * 1000000000))
	forge() { # N FIELD...
		expect at "b$1" "$TOOL" forge "${DAEMON[@]}" "${FORGE_KEY:-$KEY}" "10.1.0.1$1" 10.1.0.110 80 "${@:2}"
	}
	echo "another key of the same length" >"$WORLD/wrong"
	FORGE_KEY=$WORLD/wrong forge 1
	expect_within 2 refused_are key 1
	forge 1 version=2
	expect_within 2 refused_are version 1
	forge 1 cut=5
	expect_within 2 refused_are length 1
	forge 1 service_count=2
	expect_within 2 refused_are layout 1
	forge 1 boot=1
	expect_within 2 refused_are sequence 1
	forge 1 time=$(($(date +%s%N) - hour))
	expect_within 2 refused_are clock 1
	expect at b2 "$TOOL" forge "${DAEMON[@]}" "$KEY" 10.1.0.11 10.1.0.110 80
	expect_within 2 refused_are sender 1
	expect at client "$TOOL" forge "${DAEMON[@]}" "$KEY" 10.1.0.2 10.1.0.110 80
	expect_within 2 refused_are backend 1
	expect metric_is 'weir_probe_refused_total{.*reason="key"}' 1
	# What b1 says itself goes on, and nothing of the 50 s is in it.
	expect is_about 1 0.02
	expect_number "p99 of b1" "$(first_byte 1 p99)" -lt 1
	expect weight_is 1 '. == 100'
}

weights_follow() {
	config 'metrics: {listen: "127.0.0.1:9464"}' "probes: {listen: '10.1.0.1:9469', key-file: key}" |
		sed '0,/^    health: .*/s//&\n    adapt: {weights: on}/' >"$WORLD/adapted.yaml"
	expect ctl config apply "$WORLD/adapted.yaml"
	expect_within 20 weight_is 3 '. < 40'
	expect weight_is 1 '. > 80'
	expect weight_is 2 '. > 80'
	ctl explain web
	expect jq -e 'any(.[]; .object == "10.1.0.13:80" and .action == "weight" and .to < .from)' \
		<(ctl --json explain web --last 256)
	# By hand as in the configuration.
	expect ctl adapt set web weights observe
	expect_within 10 weight_is 3 '. == 100'
	expect_not ctl adapt set web shed on
	expect ctl adapt set web weights on
	expect_within 20 weight_is 3 '. < 40'
}

silence_gives_back() {
	kill -KILL "${probe_pid[3]}"
	wait "${probe_pid[3]}" 2>/dev/null
	expect_within 10 weight_is 3 '. == 100'
	expect_within 5 told_of 3
	probe_start 3 --to 10.1.0.1:9469
	expect_within 20 weight_is 3 '. < 40'
	load_stop shown >/dev/null
}

wrong_key_file_is_said() {
	sed 's/key-file: key/key-file: missing/' "$WORLD/adapted.yaml" >"$WORLD/missing.yaml"
	expect ctl config apply "$WORLD/missing.yaml"
	expect jq -e 'any(.warnings[]; contains("probes.key-file"))' <(ctl --json status)
	expect ctl config apply "$WORLD/adapted.yaml"
	expect_eq "error" "$(status_of .error)" ""
	expect_within 5 told_of 4
}

scenario "the daemon shows what probes tell" daemon_shows_it
scenario "bad datagrams are counted by reason and change nothing" bad_datagrams_change_nothing
scenario "weights of a dsr service follow" weights_follow
scenario "a backend that is not told of has its configured weight" silence_gives_back
scenario "a key that cannot be read is said" wrong_key_file_is_said
finish
