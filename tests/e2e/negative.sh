#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# What makes no sense gets its reason, from both sockets of a running Weir, and changes nothing.

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
begin
HERE=$(cd "$(dirname "$0")" && pwd)

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
	END
}

require topology_two_armed
require nginx_start b1 10.2.0.11:8080
config >"$WORLD/default.yaml"
require weir_start
require wait_for 10 backends_up 1

what_is() {
	ctl --json status | jq -c '[.controld.pid, .dataplane.pid, .generation, .in_step]'
	ctl config show
}

messages_to() { # WHO SOCKET
	what_is >"$WORLD/before"
	load_start beside -c 4 -k 0 -w 0.01 -t 60 -i 0.1 http://198.51.100.10/
	expect wait_for 10 load_is_flowing beside 10
	expect "$HERE/negative.py" "$1" "$RUN/default/$2" >"$WORLD/told"
	grep -v "^good: " "$WORLD/told"
	echo "$(grep -c "^good: " "$WORLD/told") were told well"
	load_stop beside >/dev/null
	expect_no_failures beside
	what_is | expect diff "$WORLD/before" -
}

# A program that is cut off in the middle of its request must not hold anything up.
half_a_request() {
	python3 - "$RUN/default/control.sock" "$RUN/default/dataplane.sock" <<-'END' &
	import socket, sys, time
	held = []
	for path in sys.argv[1:]:
	    for _ in range(5):
	        s = socket.socket(socket.AF_UNIX)
	        s.connect(path)
	        s.sendall(b"\x31\x6d\x72\x57\x01")
	        held.append(s)
	time.sleep(100)
	END
	local pid=$!
	expect_within 5 weir_answers default
	expect fetch http://198.51.100.10/
	kill -KILL $pid
	wait $pid
	expect_within 5 weir_answers default
}

scenario "the control API tells what is wrong with a request" messages_to control control.sock
scenario "the data plane tells what is wrong with a message" messages_to dataplane dataplane.sock
scenario "half a request holds nobody up" half_a_request
scenario "all packets are accounted for" expect_balance
finish
