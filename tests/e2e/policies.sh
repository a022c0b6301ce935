#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Operators' policies in a running service: loaded, watched, changed and taken out under traffic; refused when they
# are bad; in force through the ends of both processes. Asserts on what clients got.

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
begin

TOP=$(cd "$(dirname "$0")/../.." && pwd)
SHIPPED=$BUILD/ebpf/policies
WEB=http://198.51.100.10/
TLS=198.51.100.11

build_policy() { # SOURCE OBJECT
	clang -O2 -g -w -target bpf -mcpu=v3 -isystem "/usr/include/$(uname -m)-linux-gnu" \
		-I "$TOP/ebpf/include" -c "$1" -o "$2"
}

config() { # [KEYS OF web]
	config_head front=front back=back
	cat <<-END
	services:
	  - name: web
	    address: 198.51.100.10
	    port: 80
	    protocol: tcp
	    mode: nat
	    source-addresses: [10.2.0.100]
	    health: {type: none}
	    pools:
	      - {name: canary, backends: [{address: 10.2.0.13, port: 8080}]}
	    backends:
	      - {address: 10.2.0.11, port: 8080}
	      - {address: 10.2.0.12, port: 8080}
	    ${1:-}
	  - name: tls
	    address: $TLS
	    port: 443
	    protocol: tcp
	    mode: nat
	    source-addresses: [10.2.0.100]
	    health: {type: none}
	    classes: [{name: none, packets: 0}]
	    backends: [{address: 10.2.0.11, port: 8443}]
	metrics: {listen: "127.0.0.1:9464"}
	END
}

# One server for TLS, whatever name is asked for.
tls_start() {
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=test \
		-addext "subjectAltName=DNS:*.example.test" -keyout "$WORLD/key.pem" -out "$WORLD/cert.pem" 2>/dev/null
	mkdir -p "$WORLD/tls"
	cat >"$WORLD/tls/nginx.conf" <<-END
	daemon off; user root; worker_processes 1; pid $WORLD/tls/pid; error_log $WORLD/tls/error.log;
	events { }
	http {
		access_log off;
		client_body_temp_path $WORLD/tls/body; proxy_temp_path $WORLD/tls/proxy;
		fastcgi_temp_path $WORLD/tls/fastcgi; uwsgi_temp_path $WORLD/tls/uwsgi; scgi_temp_path $WORLD/tls/scgi;
		server {
			listen 10.2.0.11:8443 ssl;
			ssl_certificate $WORLD/cert.pem; ssl_certificate_key $WORLD/key.pem;
			location / { return 200 "\$ssl_server_name\n"; }
		}
	}
	END
	start_at b1 nginx -p "$WORLD/tls" -c "$WORLD/tls/nginx.conf" 2>>"$WORLD/tls/error.log" &
	wait_for 10 at b1 curl -skf -o /dev/null --max-time 1 https://10.2.0.11:8443/
}

require topology_two_armed
for n in 1 2 3; do
	require nginx_start "b$n" "10.2.0.1$n:8080"
done
require tls_start
require build_policy "$TOP/tests/replay/policies/chosen.c" "$WORLD/canary.o"
config >"$WORLD/default.yaml"
require weir_start
require wait_for 30 backends_up 4

# With patience: machines that run tests are busy, and what a policy waits for a CPU counts as its own.
policy_load() { # SERVICE OBJECT [OPTION...]
	ctl policy load "$@" --budget 1000000000
}

# What weirctl shows is up to 100 ms old.
policy_counts() { # SERVICE JQ: a counter of its first policy that is not zero
	[ "$(policy_field "$1" "$2 // 0")" -gt 0 ]
}
class_counts() { [ "$(ctl --json policy show tls | jq '.classes[0].packets')" -ge 1 ]; }

policy_field() { # SERVICE JQ: of its first policy
	ctl --json policy show "$1" | jq -r ".policies[0] | $2"
}

policy_is_running() { # SERVICE NAME
	[ "$(policy_field "$1" '.name + " " + .state')" = "$2 running" ]
}

serves() { # SOURCE
	fetch "$WEB" --interface "$1" -o /dev/null
}

# No answer, however long one waits: two seconds do.
shut_out() { # SOURCE
	! fetch "$WEB" --interface "$1" -o /dev/null --max-time 2
}

backend_for() { # SOURCE
	fetch "$WEB" --interface "$1" -D - -o /dev/null | tr -d '\r' | sed -n 's/^X-Backend: //p'
}

# A block list comes and goes beside requests of others, of which none fails.
block_list_under_traffic() {
	load_start others -s 10.1.0.2 -c 1000 -r 50 -T 10 -t 60 -i 1 "$WEB"
	expect policy_load web "$SHIPPED/block_list.o"
	expect_within 10 policy_is_running web block_list
	expect serves 10.1.0.3
	expect ctl policy map set web blocked 10.1.0.3 7
	expect_eq "the entry" "$(ctl policy map get web blocked 10.1.0.3)" 7
	expect_eq "entries" "$(ctl --json policy map dump web blocked | jq -c '[.entries[] | [.key, .value]]')" \
		'[["10.1.0.3/32",7]]'
	expect shut_out 10.1.0.3
	expect serves 10.1.0.4
	expect_within 5 policy_counts web '.reasons["7"]'
	expect_number "drops of the service by policy" "$(drops_of web policy)" -ge 1
	expect ctl policy map delete web blocked 10.1.0.3
	expect serves 10.1.0.3
	expect_not ctl policy map get web blocked 10.1.0.3
	expect_not ctl policy map get web nothing 1
	expect_not ctl policy map set web blocked 10.1.0.300 1
}

# A long list with one entry that matters, 20 MB with its comments; then a short one without it. (A million fit.)
a_long_list() {
	local start
	awk 'BEGIN { for (i = 0; i < 99999; i++) printf "100.%d.%d.%d # %0180d\n", 64 + i / 65536, i / 256 % 256, i % 256, i
		print "10.1.0.4 9 # the client" }' >"$WORLD/list"
	start=$(milliseconds)
	expect ctl policy map load web blocked "$WORLD/list" --value 1
	echo "100,000 prefixes in $(($(milliseconds) - start)) ms"
	expect shut_out 10.1.0.4
	expect serves 10.1.0.3
	printf '10.1.0.5 2\n10.1.0.0/31\n' >"$WORLD/list"
	start=$(milliseconds)
	expect_eq "what was done" "$(ctl --json policy map load web blocked "$WORLD/list" --replace | jq -c '[.set, .deleted]')" \
		"[2,100000]"
	echo "all but two of them gone in $(($(milliseconds) - start)) ms"
	expect serves 10.1.0.4
	expect shut_out 10.1.0.5
	printf '10.1.0.4\n10.1.0.3/33\nx 1\n' >"$WORLD/list"
	expect_not ctl policy map load web blocked "$WORLD/list"
	expect serves 10.1.0.4
}

# What two lists cover by other prefixes is blocked all the time while one takes the other's place.
a_list_in_another_form() {
	local form
	for form in "10.1.0.0/24" "10.1.0.0/25 10.1.0.128/25"; do
		awk -v form="$form" -v net="${#form}" 'BEGIN {
			n = split(form, own, " ")
			for (i = 0; i < 20000; i++) printf "100.%d.%d.%d\n", net, i / 256, i % 256
			for (i = 1; i <= n; i++) print own[i], "4" }' >"$WORLD/list.${#form}"
	done
	expect policy_load web "$SHIPPED/block_list.o"
	expect ctl policy map load web blocked "$WORLD/list.11"
	load_start shut_out -s 10.1.0.4 -c 3000 -r 400 -T 1 -t 60 -i 1 "$WEB"
	for form in 25 11 25 11; do
		expect_eq "what was done" "$(ctl --json policy map load web blocked "$WORLD/list.$form" --replace |
			jq -c '[.set, .deleted]')" "$([ $form = 25 ] && echo "[20002,20001]" || echo "[20001,20002]")"
	done
	load_stop shut_out >/dev/null
	expect_eq "answers" "$(load_field shut_out .ok)" 0
	expect_number "requests without one" "$(load_field shut_out .failures.timeout)" -gt 100
}

# Two lists and a number that says which one counts: all of a list changes with one entry, with a new value for each prefix.
a_list_at_once() {
	build_policy "$TOP/tests/replay/policies/two_lists.c" "$WORLD/two_lists.o" || fail "does not compile"
	printf '10.1.0.3 1\n10.1.0.4 1\n' >"$WORLD/first"
	printf '10.1.0.4 2\n10.1.0.5 2\n' >"$WORLD/second"
	expect policy_load web "$WORLD/two_lists.o"
	expect ctl policy map load web list_0 "$WORLD/first" --replace
	expect ctl policy map load web list_1 "$WORLD/second" --replace
	expect shut_out 10.1.0.3
	expect serves 10.1.0.5
	expect ctl policy map set web which 0 1
	expect serves 10.1.0.3
	expect shut_out 10.1.0.4
	expect shut_out 10.1.0.5
	# What does not fit changes nothing.
	seq 0 1000 | sed 's/.*/2001:db8::&/' >"$WORLD/first"
	expect_not ctl policy map load web list_1 "$WORLD/first" --replace 2>"$WORLD/refusal"
	expect grep -q 'first:1001: the map has room for 1000 entries' "$WORLD/refusal"
	expect_eq "entries" "$(ctl --json policy map dump web list_1 | jq -c '[.entries[].key] | sort')" \
		'["10.1.0.4/32","10.1.0.5/32"]'
	echo "0 0" >"$WORLD/first"
	expect_not ctl policy map load web which "$WORLD/first" --replace
	expect shut_out 10.1.0.5
}

# Another policy in its place, then none; the requests of block_list_under_traffic still go on.
replaced_and_unloaded() {
	expect policy_load web "$SHIPPED/syn_guard.o" --set calm=100000 --on-error drop
	expect_within 10 policy_is_running web syn_guard
	expect_eq "its parameter" "$(policy_field web .parameters.calm)" 100000
	expect serves 10.1.0.5
	expect_number "sources that it knows" \
		"$(ctl --json policy map dump web known | jq '[.entries[].key | select(. == "10.1.0.5")] | length')" -eq 1
	expect_within 5 policy_counts web .packets
	expect_number "cycles a packet" "$(policy_field web .cycles)" -gt 0
	expect policy_load web "$SHIPPED/ipv6_headers.o" --append --observe
	expect_eq "policies" "$(ctl --json policy list | jq -c '[.[] | [.service, .name, .mode]]')" \
		'[["web","syn_guard","enforce"],["web","ipv6_headers","observe"]]'
	expect ctl policy unload web syn_guard
	expect_eq "policies" "$(ctl --json policy list | jq -c '[.[] | .name]')" '["ipv6_headers"]'
	expect ctl policy unload web
	expect_eq "policies" "$(ctl --json policy list)" '[]'
	expect_not ctl policy unload web
	load_stop others >/dev/null
	load_field others .failures
	expect_no_failures others
}

tls_name() { # NAME: the name that the server saw
	at client curl -sS --cacert "$WORLD/cert.pem" --max-time 3 --resolve "$1:443:$TLS" "https://$1/"
}

# Real TLS: the name in the ClientHello decides about the class, and that class lets nothing pass.
tls_by_server_name() {
	expect policy_load tls "$SHIPPED/tls_route.o" --set limits=1
	expect_eq "the name" "$(tls_name good.example.test)" good.example.test
	expect ctl policy map set tls names bad.example.test 1
	expect_not tls_name bad.example.test
	expect_eq "another name" "$(tls_name good.example.test)" good.example.test
	expect_within 5 class_counts
	expect_number "drops by the class" "$(drops_of tls limit_class)" -ge 1
	expect ctl policy map delete tls names bad.example.test
	expect_eq "the name, allowed again" "$(tls_name bad.example.test)" bad.example.test
	expect ctl policy unload tls
}

# A policy's pool gets what the policy sends there and nothing else; when it is drained, the others serve.
routed_to_a_pool() {
	local n
	expect policy_load web "$WORLD/canary.o"
	for n in 1 2 3; do
		expect_eq "backend of the canary's client" "$(backend_for 10.1.0.3)" b3
		expect_not test "$(backend_for 10.1.0.4)" = b3
	done
	expect_eq "the pool of b3" "$(backend_field web 10.2.0.13 .pool)" canary
	expect ctl backend drain web 10.2.0.13:8080
	expect_not test "$(backend_for 10.1.0.3)" = b3
	expect serves 10.1.0.3
	expect ctl backend enable web 10.2.0.13:8080
	expect_eq "backend after the drain" "$(backend_for 10.1.0.3)" b3
}

# What is only observed says what it would do, and does nothing.
observed() {
	expect policy_load web "$SHIPPED/block_list.o" --observe
	expect ctl policy map set web blocked 10.1.0.0/24 3
	expect serves 10.1.0.3
	expect_eq "state" "$(policy_field web .state)" observed
	expect_within 5 policy_counts web '.reasons["3"]'
}

judges_on() { [ "$(policy_field web .packets)" -gt "$1" ]; }

# Bad ones are refused for the reason that stands in their source, in the line that is marked; what runs goes on.
bad_ones_are_refused() {
	local source name wanted line judged
	expect policy_load web "$WORLD/canary.o"
	# The others go the same way in the policy corpus.
	for name in endless_loop helper leaks_address outside_packet too_expensive two_programs unchecked_value \
		unwritten_stack writes_packet; do
		source=$TOP/tests/bpf/policies/bad/$name.c
		build_policy "$source" "$WORLD/$name.o" || fail "$name does not compile"
		wanted=$(sed -n 's,.*refused: \(.*\) \*/,\1,p' "$source" | head -1)
		line=$(grep -n '/\* here \*/' "$source" | head -1 | cut -d : -f 1)
		expect_not ctl policy load web "$WORLD/$name.o" 2>"$WORLD/refusal"
		grep -qE "refused.*$wanted" "$WORLD/refusal" || fail "$name: $(cat "$WORLD/refusal")"
		[ -z "$line" ] || grep -qF "$name.c:$line: " "$WORLD/refusal" ||
			fail "$name, line $line: $(cat "$WORLD/refusal")"
	done
	head -c 10000 /dev/urandom >"$WORLD/garbage.o"
	head -c 3000 "$WORLD/canary.o" >"$WORLD/cut.o"
	cp "$WORLD/canary.o" "$WORLD/huge.o"
	truncate -s 300M "$WORLD/huge.o"
	clang -O2 -w -target bpf -mcpu=v3 -isystem "/usr/include/$(uname -m)-linux-gnu" -I "$TOP/ebpf/include" \
		-c $TOP/tests/replay/policies/chosen.c -o "$WORLD/no_btf.o"
	"$TOP/tests/bpf/other_abi.py" "$WORLD/canary.o" "$WORLD/abi.o"
	while read -r name wanted; do
		expect_not ctl policy load web "$WORLD/$name.o" 2>"$WORLD/refusal"
		grep -qE "refused.*$wanted" "$WORLD/refusal" || fail "$name: $(cat "$WORLD/refusal")"
	done <<-END
		garbage not an object file
		cut cut off
		huge at most 4 MiB
		no_btf no BTF
		abi version 2
	END
	expect_not ctl policy load web "$WORLD/canary.o" --set nothing=1
	expect_not ctl policy load web "$WORLD/not-there.o"
	expect_not ctl policy load nobody "$WORLD/canary.o"
	expect_eq "the last that explain tells" "$(ctl --json explain web --last 1 |
		jq -c '[length, .[0].action, (.[0].reason | test("refused"))]')" '[1,"refused",true]'
	judged=$(policy_field web .packets)
	expect_eq "backend, still" "$(backend_for 10.1.0.3)" b3
	expect_within 5 judges_on "$judged"
	expect_number "events of refusals" \
		"$(ctl --json events | jq '[.[] | select(.kind == "policy" and .inputs.what == "refused")] | length')" -ge 14
}

# A configuration is one transaction, its policies included.
configuration_is_refused_whole() {
	local number
	build_policy "$TOP/tests/bpf/policies/bad/unchecked_value.c" "$WORLD/bad.o"
	number=$(ctl --json status | jq .configuration.number)
	config "policy: {object: bad.o}" | sed 's/packets: 0/packets: 5/' >"$WORLD/next.yaml"
	expect_not ctl config check "$WORLD/next.yaml" 2>"$WORLD/check"
	expect_not ctl config apply "$WORLD/next.yaml" 2>"$WORLD/refusal"
	expect grep -qxFf "$WORLD/check" "$WORLD/refusal"
	grep -qE "^$WORLD/next.yaml:[0-9]+:[0-9]+: services\[[0-9]+\]\.policy\.object: bad.o: refused by the kernel's verifier: unchecked_value.c:14: " \
		"$WORLD/refusal" || fail "$(cat "$WORLD/refusal")"
	expect_eq "configuration" "$(ctl --json status | jq .configuration.number)" "$number"
	expect_eq "the class" "$(ctl --json policy show tls | jq '.classes[0].limit_packets')" 0
	expect_eq "backend, still" "$(backend_for 10.1.0.3)" b3
	# And a good one takes the place of what was loaded by hand.
	config "policy: {object: canary.o, set: {source: 4}, budget: 1000000000}" >"$WORLD/next.yaml"
	(cd "$WORLD" && expect ctl config apply next.yaml)
	expect_eq "backend of 10.1.0.4" "$(backend_for 10.1.0.4)" b3
	expect_not test "$(backend_for 10.1.0.3)" = b3
	expect_eq "loaded" "$(policy_field web .loaded)" configuration
}

history() { ctl --json config history | jq -r "$1"; }

# An object is compiled anew under the same name, twice; each configuration goes back to what it had.
undo_brings_the_object_back() {
	local number
	turn() { # SOURCE
		sed "s/source = 3;/source = $1;/" "$TOP/tests/replay/policies/chosen.c" >"$WORLD/turn.c"
		build_policy "$WORLD/turn.c" "$WORLD/turn.o"
	}
	config "policy: {object: turn.o, budget: 1000000000}" >"$WORLD/turn.yaml"
	turn 3
	expect ctl config apply "$WORLD/turn.yaml"
	expect_eq "backend with the first" "$(backend_for 10.1.0.3)" b3
	number=$(history '.[0].number')
	turn 4
	# The same text, and yet another configuration.
	expect ctl config apply "$WORLD/turn.yaml"
	expect_eq "number" "$(history '.[0].number')" $((number + 1))
	expect_eq "backend with the second" "$(backend_for 10.1.0.4)" b3
	expect ctl config undo
	expect_eq "backend, undone" "$(backend_for 10.1.0.3)" b3
	expect_not test "$(backend_for 10.1.0.4)" = b3
	expect_eq "what it was" "$(history '.[0].objects')" "$(history ".[] | select(.number == $number) | .objects")"
	expect_eq "what the file is" "$(history '.[1].objects[0].sha256')" "$(sha256sum "$WORLD/turn.o" | cut -d ' ' -f 1)"
	# Also when nothing is left but the history, as after a reboot, and the file is garbage.
	echo garbage >"$WORLD/turn.o"
	require weir_stop
	require weir_start
	expect_within 20 policy_is_running web chosen
	expect_within 10 serves 10.1.0.3
	expect_eq "backend, started again" "$(backend_for 10.1.0.3)" b3
	expect ctl config undo $((number + 1))
	expect_eq "backend with the second again" "$(backend_for 10.1.0.4)" b3
	# A copy that is gone is told, and changes nothing.
	rm "$RUN"/default/history/objects/*.o
	expect_not ctl config undo "$number" 2>"$WORLD/refusal"
	expect grep -qE "^$WORLD/turn.yaml:[0-9]+:[0-9]+: services\[[0-9]+\]\.policy\.object: turn.o: the history has no whole copy" \
		"$WORLD/refusal"
	expect_eq "backend, still" "$(backend_for 10.1.0.4)" b3
	turn 3
	expect ctl config apply "$WORLD/turn.yaml"
	expect_eq "backend with the file" "$(backend_for 10.1.0.3)" b3
}

# The daemon dies: nothing changes for packets. The next one goes on with the same program and its maps, also
# when the object has gone.
daemon_dies() {
	local id judged
	expect policy_load web "$SHIPPED/block_list.o"
	expect ctl policy map set web blocked 10.1.0.3 5
	expect shut_out 10.1.0.3
	cp "$SHIPPED/block_list.o" "$WORLD/gone.o"
	expect policy_load web "$WORLD/gone.o"
	expect ctl policy map set web blocked 10.1.0.4 5
	rm "$WORLD/gone.o"
	judged=$(policy_field web .packets)
	id=$(dataplane_pid)
	kill -KILL "${weir_pid[default]}"
	wait "${weir_pid[default]}"
	expect shut_out 10.1.0.4
	expect serves 10.1.0.3
	weir_start
	expect_eq "data plane" "$(dataplane_pid)" "$id"
	expect_within 10 policy_is_running web block_list
	expect_number "packets judged, still counted" "$(policy_field web .packets)" -ge "$judged"
	expect_eq "the entry" "$(ctl policy map get web blocked 10.1.0.4)" 5
	expect shut_out 10.1.0.4
	expect_eq "loaded" "$(policy_field web .loaded)" "by hand"
}

dataplane_is_not() { # PID
	local pid
	pid=$(dataplane_pid) && [ "$pid" != null ] && [ "$pid" != "$1" ]
}

# The data plane dies: the next one has the policy again, with nothing in its maps.
dataplane_dies() {
	local pid
	expect policy_load web "$WORLD/canary.o"
	expect_eq "backend before" "$(backend_for 10.1.0.3)" b3
	pid=$(dataplane_pid)
	kill -KILL "$pid"
	expect_within 20 dataplane_is_not "$pid"
	expect_within 20 policy_is_running web chosen
	expect_within 10 serves 10.1.0.3
	expect_eq "backend after" "$(backend_for 10.1.0.3)" b3
}

verdicts_are_scraped() {
	at weir curl -sf http://127.0.0.1:9464/metrics >"$WORLD/metrics" &&
		grep -qE '^weir_policy_verdicts_total\{.*service="web",policy="chosen",position="1",verdict="route"\} [1-9]' \
			"$WORLD/metrics"
}

metrics_and_events() {
	local kinds
	expect_within 5 verdicts_are_scraped
	expect grep -qE '^weir_policy_cycles_total\{.*policy="chosen".*\} [1-9]' "$WORLD/metrics"
	expect grep -qE '^weir_policy_state\{.*policy="chosen".*state="running"\} 1' "$WORLD/metrics"
	expect grep -qE '^weir_class_packets_total\{.*class="none"\}' "$WORLD/metrics"
	kinds=$(ctl --json events | jq -r '[.[] | select(.kind == "policy") | .inputs.what] | unique | join(" ")')
	expect_eq "what events tell" "$kinds" "replaced"
	expect_eq "what explain tells" "$(ctl --json explain web |
		jq -c '.[0] | [.service, .controller, .action, .object, .mode, .inputs.what]')" \
		'["web","policy","replaced","chosen","on","replaced"]'
	ctl explain web >"$WORLD/explained"
	expect grep -qE '  policy    policy chosen replaced \(' "$WORLD/explained"
	expect_balance
}

scenario "a block list is loaded under traffic, and nobody else's request fails" block_list_under_traffic
scenario "a list of 100,000 prefixes is loaded live, and replaced by two" a_long_list
scenario "what an old and a new list cover is blocked while one replaces the other" a_list_in_another_form
scenario "a list that has to change at once does" a_list_at_once
scenario "a policy is replaced, joined by another and unloaded under traffic" replaced_and_unloaded
scenario "the server name of real TLS decides" tls_by_server_name
scenario "flows go to the pool that a policy names, and elsewhere when it cannot serve" routed_to_a_pool
scenario "an observed policy counts and does nothing" observed
scenario "bad policies are refused with reason and line, and the old one goes on" bad_ones_are_refused
scenario "a configuration with a bad policy is refused whole" configuration_is_refused_whole
scenario "undo brings back the object as it was, whatever has become of the file" undo_brings_the_object_back
scenario "the daemon's death disturbs no policy" daemon_dies
scenario "the data plane's death brings the policy back" dataplane_dies
scenario "metrics, events and counters tell of policies" metrics_and_events
finish
