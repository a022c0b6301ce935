#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# What scripts rely on: each command as text and as JSON, names, types and units of what is documented, exit statuses,
# and the form of errors in a file. The rest of the tests look at what the figures say; here it is how.

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
begin

POLICY=$BUILD/ebpf/policies/syn_guard.o

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
	    objective: {p99: 20ms}
	    limits:
	      packets: 1M
	      bits: 10G
	      connections: 50k
	      per-source: {prefix4: 32, prefix6: 64, packets: 10k, connections: 1k}
	    backends:
	      - {address: 10.2.0.11, port: 8080, weight: 100}
	      - {address: 10.2.0.12, port: 8080}
	    fallback:
	      - {address: 10.2.0.13, port: 8080}
	    health: {type: http, path: /healthz, interval: 200ms, timeout: 150ms, rise: 1, fall: 2}
	  - name: any6
	    address: "2001:db8:100::/120"
	    port: any
	    protocol: udp
	    mode: nat
	    source-addresses: ["fd02::100"]
	    health: {type: none}
	    backends:
	      - {address: "fd02::11", port: 9000}
	metrics: {listen: "127.0.0.1:9464"}
	END
}

require topology_two_armed
for n in 1 2 3; do
	require nginx_start "b$n" "10.2.0.1$n:8080"
done
config >"$WORLD/default.yaml"
config | sed 's/weight: 100/weight: 50/' >"$WORLD/other.yaml"
require weir_start
require wait_for 10 backends_up 3
for n in {1..40}; do
	fetch -o /dev/null http://198.51.100.10/
done

# Each line: the exit status, and the command. Those that stream or draw have tests of their own.
COMMANDS="
0 config check $WORLD/default.yaml
0 config diff $WORLD/default.yaml
0 config apply $WORLD/default.yaml
0 config apply $WORLD/other.yaml --confirm 60s
0 config confirm
0 config undo
0 config show
0 config history
0 status
0 service list
0 service show web
0 backend list
0 backend list web
0 backend drain web 10.2.0.12:8080
0 backend enable web 10.2.0.12:8080
0 flow list web
0 flow list web --limit 2
0 flow find tcp 10.1.0.2:40000 198.51.100.10:80
0 limit show web
0 limit set web packets 2M
0 limit set web per-source.connections 2k
0 port list
0 port show front
0 core list
0 core show 0
0 policy check $POLICY
0 policy load web $POLICY --observe
0 policy show web
0 policy list
0 policy unload web
0 explain web
0 explain web --last 3
0 events
0 adapt status
0 adapt pause
1 adapt resume web
0 adapt resume
0 adapt pause web
0 adapt resume web
1 service show nobody
1 backend list nobody
1 backend drain web 10.2.0.99:8080
1 flow list nobody
1 limit show nobody
1 limit set web nothing 1
1 limit set web packets many
1 port show nothing
1 core show 99
1 policy check $WORLD/default.yaml
1 policy show nobody
1 explain nobody
1 trace nobody --for 1s
1 config check $WORLD/nothing.yaml
2 service
2 service show
2 backend drain web
2 flow find tcp
2 explain web --last many
2 replay
2 status --nothing
"

# Data on standard output and nothing beside; what is wrong on standard error, in a line that begins with the program.
typed() { # STATUS COMMAND...
	local status=0
	ctl "${@:2}" >"$WORLD/out" 2>"$WORLD/err" || status=$?
	[ $status = "$1" ] || { fail "weirctl ${*:2}: status $status, expected $1: $(head -c 300 "$WORLD/err")"; return; }
	if [ "$1" = 0 ]; then
		[ ! -s "$WORLD/err" ] || [[ ${*:2} = *confirm* ]] || fail "weirctl ${*:2} complains: $(cat "$WORLD/err")"
	else
		[ ! -s "$WORLD/out" ] || [[ ${*:2} = *check* ]] || fail "weirctl ${*:2} prints: $(cat "$WORLD/out")"
		[ -s "$WORLD/err" ] || [ -s "$WORLD/out" ] || fail "weirctl ${*:2} does not say what is wrong"
	fi
}

all_commands() { # [--json]
	local status line
	while read -r status line; do
		[ -n "$status" ] || continue
		# shellcheck disable=SC2086
		typed "$status" $line $1
		[ -z "${1:-}" ] || [ "$status" != 0 ] || jq -es 'length == 1' "$WORLD/out" >/dev/null ||
			fail "weirctl $line --json is not one document: $(head -c 200 "$WORLD/out")"
	done <<<"$COMMANDS"
}

nobody_there() {
	local noun
	for noun in status "service list" "backend list" "port list" "core list" "events" "explain web" "limit show web" \
		"config show" "config apply $WORLD/default.yaml" "trace web"; do
		# shellcheck disable=SC2086
		typed 3 --instance nobody $noun
		expect grep -q '^weirctl: no weir-controld on .*nobody.*start it' "$WORLD/err"
	done
	WEIR_RUN_DIR=$RUN "$BUILD/weirctl" --socket "$RUN/default/control.sock" status >/dev/null || fail "--socket"
}

shape() { # WHAT FILTER COMMAND...
	ctl --json "${@:3}" >"$WORLD/shape"
	jq -e "def n: type == \"number\"; def s: type == \"string\"; def or_null(f): . == null or f;
		def count: n and . >= 0 and floor == .; def time: or_null(n and . > 0 and . < 60);
		$2" "$WORLD/shape" >/dev/null || fail "$1 is not so: $(head -c 1500 "$WORLD/shape")"
}

shapes() {
	shape "service list" 'type == "array" and length == 2 and all(.[];
		(.name, .address, .protocol, .mode | s) and (.port | count or s) and (.cores | all(.[]; count)) and
		(.packets_received, .packets_transmitted, .bytes_received, .bytes_transmitted, .flows, .new_flows | count) and
		(.dropped | type == "object" and all(.[]; count)) and
		(.residence | has("p50") and has("p99") and has("p999") and all(.p50, .p99, .p999; time))) and
		(.[0] | .name == "web" and .address == "198.51.100.10" and .port == 80 and .protocol == "tcp" and .mode == "nat" and
			.new_flows >= 40 and .residence.p50 < 0.5)' service list
	shape "backend list" 'length == 4 and all(.[];
		(.service, .address | s) and (.state | IN("up", "down", "draining", "fallback")) and
		(.port, .weight, .weight_in_force, .flows, .new_flows, .packets | count) and
		(.connect, .first_byte | has("p50") and has("p99") and all(.p50, .p99; time))) and
		any(.[]; .state == "fallback" and .address == "10.2.0.13") and
		any(.[]; .address == "10.2.0.11" and .port == 8080 and .weight == 100 and .connect.p50 < 1)' backend list
	shape "limit show" '.service == "web" and (.packets, .bits, .connections | (.configured, .in_force | or_null(n))) and
		.packets.configured == 1000000 and .bits.configured == 10000000000 and .connections.configured == 50000 and
		.per_source.prefix4 == 32 and .per_source.packets.configured == 10000 and
		.per_source.connections.configured == 1000' limit show web
	shape "limit show of a service without" '.service == "any6" and .packets == null and .bits == null and
		.connections == null and .per_source == null' limit show any6
	shape "explain" 'type == "array" and all(.[]; (.time | n) and (.service, .controller, .action, .reason | s) and
		has("from") and has("to") and (.inputs | type == "object"))' explain web
	shape "port list" 'length == 2 and all(.[]; (.name, .device, .driver, .steering | s) and (.queues.receive | count) and
		(.packets_received, .packets_transmitted | count) and .checksums == [])' port list
	shape "core list" 'all(.[]; (.cpu, .packets | count) and (.busy, .packets_per_burst, .cycles_per_packet | n or . == null) and
		(.services | type == "array") and (.stages | type == "object"))' core list
	shape "status" '(.instance == "default") and (.generation | count) and (.warnings, .ports, .cores, .memory | type == "array") and
		(.controld.pid, .dataplane.pid | count)' status
	shape "events" 'length > 0 and all(.[]; (.time | n) and (.number // .seq // .sequence | count))' events
	shape "flow find" '.service == "web" and (.backend | s) and .existing == false' flow find tcp 10.1.0.2:40000 198.51.100.10:80
}

# What a file has wrong, all of it in one run, and the same whoever looks at it; what runs is as it was.
errors_of_a_file() {
	local file=$WORLD/wrong.yaml command
	sed -e 's/^    port: 80$/    port: 80000/' -e 's/interval: 200ms/interval: soon/' -e 's/^    mode: nat$/    mode: teleport/' \
		-e '$a surprise: 1' "$WORLD/default.yaml" >"$file"
	for command in check diff apply; do
		typed 1 config $command "$file"
		cat "$WORLD/out" "$WORLD/err"
		expect_eq "errors of $command" "$(cat "$WORLD/out" "$WORLD/err" | grep -cE "^$file:[0-9]+:[0-9]+: [a-z0-9.-]+(\[[0-9]+\][a-z0-9.-]*)*: .+")" 5
		expect grep -qE "^$file:9:[0-9]+: services\[0\]\.port: .*65535" <(cat "$WORLD/out" "$WORLD/err")
		expect grep -qE ": surprise: " <(cat "$WORLD/out" "$WORLD/err")
	done
	typed 0 config diff "$WORLD/default.yaml"
	expect_eq "what runs" "$(ctl --json service list | jq length)" 2
}

# Nothing of the help needs a daemon, and every word of it leads on.
help_everywhere() {
	local program command
	for program in weirctl weir-controld weir-dataplane weir-probe; do
		"$BUILD/$program" --help >"$WORLD/out" 2>"$WORLD/err" || fail "$program --help"
		grep -qi '^usage: ' "$WORLD/out" || fail "$program --help has no usage"
		[ ! -s "$WORLD/err" ] || fail "$program --help complains"
		[[ $("$BUILD/$program" --version) = "$program "[0-9]* ]] || fail "$program --version"
		"$BUILD/$program" --nothing >"$WORLD/out" 2>"$WORLD/err" && fail "$program --nothing"
		[ $? = 2 ] && [ -s "$WORLD/err" ] && [ ! -s "$WORLD/out" ] || fail "$program --nothing: no status 2"
	done
	"$BUILD/weirctl" help | sed -n '/^Commands:/,/^$/s/^  \([a-z]\)/\1/p' | sed -e 's/   *.*//' -e 's/ [][A-Z].*//' >"$WORLD/commands"
	expect_number "commands" "$(wc -l <"$WORLD/commands")" -ge 50
	while read -r command; do
		# shellcheck disable=SC2086
		"$BUILD/weirctl" $command --help >"$WORLD/out" 2>"$WORLD/err" </dev/null || fail "weirctl $command --help"
		expect grep -q "^usage: weirctl $command" "$WORLD/out"
		# shellcheck disable=SC2086
		expect_eq "help $command" "$("$BUILD/weirctl" help $command)" "$(cat "$WORLD/out")"
	done <"$WORLD/commands"
}

# Priorities are for the journal; people and other logs get words.
logs_for_people_and_the_journal() {
	: >"$WORLD/err"
	expect_not "$BUILD/weir-controld" --config "$WORLD/nothing.yaml" 2>>"$WORLD/err"
	JOURNAL_STREAM=$(stat -c %d:%i "$WORLD/err") "$BUILD/weir-controld" --config "$WORLD/nothing.yaml" 2>>"$WORLD/err"
	JOURNAL_STREAM=1:2 "$BUILD/weir-controld" --config "$WORLD/nothing.yaml" 2>>"$WORLD/err"
	expect_eq "three starts" "$(cut -d / -f 1 "$WORLD/err" | tr '\n' '|')" "weir-controld: error: |<3>error: |weir-controld: error: |"
	# The data plane's, from a start that went well.
	expect grep -q '^weir-dataplane: warning: one packet core' "$WORLD/controld-default.log"
	expect_not grep -q '^<' "$WORLD/controld-default.log"
}

scenario "each command does or refuses as it says, in text" all_commands
scenario "each command does or refuses as it says, in one JSON document" all_commands --json
scenario "documents have the names, types and units of the interface" shapes
scenario "without a daemon the status is 3, and it says how to start one" nobody_there
scenario "all that is wrong in a file is named by line, column and key, and nothing changes" errors_of_a_file
scenario "logs are words, with priorities in front for the journal only" logs_for_people_and_the_journal
scenario "every program and command explains itself" help_everywhere
finish
