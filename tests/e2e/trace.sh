#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Where did my packet go: traces and captures of real traffic, compared with what the peers sent and got.

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
	    health: {type: none}
	    backends:
	      - {address: 10.2.0.11, port: 8080}
	      - {address: 10.2.0.12, port: 8080}
	  - name: closed
	    address: 198.51.100.11
	    port: 80
	    protocol: tcp
	    mode: nat
	    source-addresses: [10.2.0.100]
	    limits: {packets: 0}
	    health: {type: none}
	    backends:
	      - {address: 10.2.0.11, port: 8080}
	END
}

URL=http://198.51.100.10
STAGES='["receive","parse","service","dispatch","limit","flow","balance","rewrite","neighbour","transmit"]'

require topology_two_armed
require nginx_start b1 10.2.0.11:8080
require nginx_start b2 10.2.0.12:8080
[ "$(nproc)" -lt 2 ] || CORES='[0, 1]'
config >"$WORLD/default.yaml"
require weir_start
require wait_for 10 backends_up 3

# beside FILE COMMAND... -- WEIRCTL ARGUMENTS: run weirctl, its output to FILE, and the command again and
# again until weirctl has ended; $? is weirctl's.
beside() {
	local file=$WORLD/$1 command=() pid
	shift
	while [ "$1" != -- ]; do
		command+=("$1")
		shift
	done
	shift
	ctl "$@" >"$file" 2>"$file.err" &
	pid=$!
	until ended $pid; do
		"${command[@]}" >"$WORLD/command.out" 2>&1
	done
	wait $pid
}

jq_holds() { # FILE FILTER
	jq -e "$2" "$WORLD/$1" >/dev/null || fail "not so: $2: $(jq -c '.[:2]' "$WORLD/$1" | cut -c 1-1500)"
}

both_ways() {
	expect beside ways fetch $URL/ -- --json trace web --count 30 --for 20s
	jq_holds ways 'length == 30'
	jq_holds ways "any(.[]; .direction == \"from_client\" and ([.stages[].stage] == $STAGES))"
	jq_holds ways 'all(.[]; .service == "web" and .verdict == "transmitted" and .reason == null)'
	# A SYN: from the client, to a backend chosen for it, translated to that.
	jq_holds ways 'any(.[]; .tcp_flags == ["syn"] and (.from | startswith("10.1.0.2:")) and
		.to == "198.51.100.10:80" and (.backend | test("^10\\.2\\.0\\.1[12]:8080$")) and
		any(.stages[]; .stage == "balance" and .why == "new_flow") and
		(.backend as $b | any(.stages[]; .stage == "rewrite" and .to == $b and
			(.from | startswith("10.2.0.100:")))) and
		any(.stages[]; .stage == "neighbour" and .port == "back"))'
	jq_holds ways 'any(.[]; .direction == "from_backend" and .tcp_flags == ["syn", "ack"] and
		any(.stages[]; .stage == "rewrite" and .from == "198.51.100.10:80" and
			(.to | startswith("10.1.0.2:"))) and .port == "back" and .port_out == "front")'
	jq_holds ways 'any(.[]; any(.stages[]; .stage == "flow" and .flow == "known" and
		.state == "established"))'
	# Real times, of just now.
	jq_holds ways '([.[].time] | max) as $t | now - $t < 60 and now - $t > -1 and
		all(.[]; .residence > 0 and .residence < 5)'
}

fetch_from_two() {
	fetch --interface 10.1.0.3 $URL/
	fetch --interface 10.1.0.4 $URL/
}

matched() {
	expect beside match fetch_from_two -- --json trace web --count 12 --for 20s --match 'host 10.1.0.3'
	jq_holds match 'length == 12 and any(.[]; .direction == "from_client") and
		any(.[]; .direction == "from_backend")'
	jq_holds match 'all(.[]; (.from | startswith("10.1.0.3:")) or
		any(.stages[]; .stage == "rewrite" and (.to | startswith("10.1.0.3:"))))'
}

dropped() {
	expect beside drop fetch --max-time 0.2 http://198.51.100.11/ -- --json trace closed --count 2 --for 20s
	jq_holds drop 'length == 2 and all(.[]; .verdict == "dropped" and .stage == "limit" and
		.reason == "limit_packets" and .to == "198.51.100.11:80" and .stages[-1].stage == "limit")'
	expect beside text fetch --max-time 0.2 http://198.51.100.11/ -- trace closed --count 1 --for 20s
	cat "$WORLD/text"
	expect grep -q '10.1.0.2:.* > 198.51.100.11:80 tcp syn, .* dropped in limit, limit_packets after' "$WORLD/text"
	expect grep -q '^  limit  *of packets: dropped, limit_packets$' "$WORLD/text"
}

sampled() {
	expect beside sample fetch $URL/ -- --json trace web --count 5 --for 20s --sample 1/7
	jq_holds sample 'length == 5'
}

by_port() {
	expect beside port fetch $URL/ -- --json trace --port back --count 10 --for 20s
	jq_holds port 'length == 10 and all(.[]; .port == "back" or .port_out == "back")'
}

# The sniffer says that it captures a while before it does.
peer_captures() {
	local n
	for n in {1..6}; do
		fetch -o /dev/null $URL/
	done
	[ "$(stat -c %s "$WORLD/b1.pcapng")" -gt 2000 ]
}

# Frames that the backend got, by tcpdump's sister, against those that Weir says it sent there. About 30
# connections: among a few, hashing may give that backend none.
captured() {
	local line=(-T fields -e ip.src -e ip.dst -e tcp.srcport -e tcp.dstport -e tcp.seq_raw -e tcp.checksum)
	start_at b1 tshark -q -i eth0 -f 'tcp port 8080' -w "$WORLD/b1.pcapng" >"$WORLD/tshark.log" 2>&1 &
	local peer=$!
	expect_within 20 peer_captures
	expect beside capture fetch $URL/ -- --json capture web --write "$WORLD/weir.pcapng" --count 300 --for 20s
	cat "$WORLD/capture"
	expect_eq "packets" "$(jq .packets "$WORLD/capture")" 300
	expect capinfos "$WORLD/weir.pcapng"
	expect_eq "frames" "$(tshark -r "$WORLD/weir.pcapng" 2>/dev/null | wc -l)" 600
	expect_eq "interfaces" "$(tshark -r "$WORLD/weir.pcapng" -T fields -e frame.interface_name 2>/dev/null |
		sort -u | xargs)" "back front"
	expect_eq "malformed" "$(tshark -r "$WORLD/weir.pcapng" -o ip.check_checksum:TRUE \
		-Y '_ws.malformed or ip.checksum.status == "Bad"' 2>/dev/null | wc -l)" 0
	# Direction 1 is in, 2 is out: what leaves by back goes to a backend, what comes in there is from one.
	expect_eq "wrong ways" "$(tshark -r "$WORLD/weir.pcapng" -Y 'frame.interface_name == "back" and
		((frame.packet_flags_direction == 2 and ip.src != 10.2.0.100) or
		(frame.packet_flags_direction == 1 and ip.dst != 10.2.0.100))' 2>/dev/null | wc -l)" 0
	expect tshark -r "$WORLD/weir.pcapng" -Y 'frame.comment contains "web: transmitted by back after"' \
		-c 1 2>/dev/null
	tshark -r "$WORLD/weir.pcapng" -Y 'ip.dst == 10.2.0.11' "${line[@]}" 2>/dev/null | sort >"$WORLD/sent"
	kill -TERM $peer
	wait $peer
	tshark -r "$WORLD/b1.pcapng" -Y 'ip.dst == 10.2.0.11' "${line[@]}" 2>/dev/null | sort >"$WORLD/got"
	expect_number "frames sent to b1" "$(wc -l <"$WORLD/sent")" -gt 5
	expect_eq "frames to b1 that it did not get" "$(comm -23 "$WORLD/sent" "$WORLD/got" | wc -l)" 0
}

captured_drops() {
	expect beside drops fetch --max-time 0.2 http://198.51.100.11/ -- \
		--json capture closed --write "$WORLD/drops.pcapng" --count 2 --for 20s --snaplen 40
	expect_eq "frames" "$(tshark -r "$WORLD/drops.pcapng" -T fields -e frame.cap_len -e frame.comment \
		2>/dev/null | grep -c '^40.*closed: dropped in limit, limit_packets')" 2
	ctl capture closed --write - --for 1s 2>/dev/null | expect capinfos -
}

under_load() {
	load_start traced -c 8 -k 0 -t 30 -i 0.1 $URL/
	expect wait_for 5 load_is_flowing traced 50
	expect ctl --json capture web --write "$WORLD/load.pcapng" --for 1s
	expect ctl --json trace web --count 1000 --match 'tcp port 80' --for 20s
	load_stop traced >/dev/null
	expect_no_failures traced
	expect_balance
}

refused() { # STATUS WORDS ARGUMENTS...
	local status=0
	ctl "${@:3}" >"$WORLD/refused.out" 2>&1 || status=$?
	expect_eq "exit status of ${*:3}" $status "$1"
	expect grep -qF -- "$2" "$WORLD/refused.out"
	cat "$WORLD/refused.out"
}

refusals() {
	refused 1 "there is no service nobody" trace nobody
	refused 1 "there is no port nowhere" trace --port nowhere
	refused 2 "syntax error" trace web --match 'tcp and and'
	refused 2 "SERVICE" trace
	refused 2 "--sample" trace web --sample 0
	refused 2 "--write" capture web
	refused 1 "cannot write" capture web --write /nowhere/at/all.pcapng
}

# In the background, such that $! is weirctl and not a shell that waits for it.
ctl_itself() {
	WEIR_RUN_DIR=$RUN exec "$BUILD/weirctl" "$@"
}

trace_runs() {
	ctl --json trace web --for 100ms
}

traced_something() {
	fetch $URL/
	[ -s "$WORLD/first" ]
}

one_at_a_time() {
	local pid
	ctl_itself trace web --count 1000000 >"$WORLD/first" &
	pid=$!
	expect_within 10 traced_something
	refused 1 "another trace is on (of web)" trace closed
	kill -INT $pid
	expect wait $pid
	expect trace_runs
	# One that is killed ends by itself.
	rm "$WORLD/first"
	ctl_itself trace web --count 1000000 >"$WORLD/first" &
	pid=$!
	expect_within 10 traced_something
	kill -KILL $pid
	wait $pid
	refused 1 "another trace is on (of web)" trace closed
	expect_within 15 trace_runs
}

scenario "packets of a request are followed through all stages, both ways" both_ways
scenario "a filter with the client's address finds its packets and the replies to it" matched
scenario "a dropped packet says in which stage and why" dropped
scenario "one packet in seven is enough" sampled
scenario "a port's packets are those that come and leave by it" by_port
scenario "what a capture says was sent is what the backend got; tshark reads it" captured
scenario "dropped packets are in a capture, with the reason" captured_drops
scenario "traces under load disturb nobody" under_load
scenario "what makes no sense is refused" refusals
scenario "there is one trace at a time, and it ends with who asked for it" one_at_a_time
scenario "all packets are accounted for" expect_balance
finish
