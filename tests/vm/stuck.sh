#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# nics: virtio-net-pci:0:lan igb:0:lan virtio-net-pci:0:lan
#
# A packet core of a running Weir is stopped, and it alone: another one does its work meanwhile, and a download that was
# under way goes on. The NIC was told to steer to it (whether it does or not: see steer).

# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
begin

config() { # [WEIGHT]
	CORES="[1, 2, 3]" pci_head front=1
	cat <<-END
	services:
	  - name: web
	    address: 198.51.100.10
	    port: 80
	    protocol: tcp
	    mode: nat
	    source-addresses: [10.1.0.100]
	    health: {type: http, path: /healthz, interval: 2s, timeout: 1500ms, rise: 1, fall: 5}
	    backends:
	      - {address: 10.1.0.11, port: 8080}
	      - {address: 10.1.0.12, port: 8080, weight: ${1:-100}}
	END
}

require topology_pci_one_switch
for n in 1 2; do
	require nginx_start "b$n" "10.1.0.1$n:8080"
done
blob_make 2
config >"$WORLD/default.yaml"
require pci_start front
require wait_for 300 backends_up 2

thread_on() { # CPU: the data plane's thread that is bound to it
	local task
	for task in /proc/"$(dataplane_pid)"/task/*; do
		[ "$(awk '/^Cpus_allowed_list:/ { print $2 }' "$task/status")" = "$1" ] && basename "$task"
	done
}

core_field() { # CPU JQ
	ctl --json core show "$1" | jq -r "$2"
}

core_is() { # CPU JQ VALUE
	[ "$(core_field "$1" "$2")" = "$3" ]
}

buckets_are() { # JSON
	[ "$(service_field web '.buckets | tojson')" = "$1" ]
}

hold() { # CPU SECONDS
	python3 "$TOP/tests/e2e/notify_watch.py" --hold "$(thread_on "$1" | head -1)" "$2" &
	holder=$!
}

others_do_its_work() {
	local slow
	expect_within 10 buckets_are '{"2":256}'
	fetch --max-time 120 --limit-rate 100k -o "$WORLD/got" http://198.51.100.10/blob &
	slow=$!
	expect_within 20 test -s "$WORLD/got"
	hold 2 15
	expect_within 10 core_is 2 .taken_over true
	expect buckets_are '{"3":256}'
	ctl core list
	for _ in 1 2 3 4; do
		expect fetch --max-time 5 -o /dev/null http://198.51.100.10/
	done
	config 50 >"$WORLD/new.yaml"
	expect ctl config apply "$WORLD/new.yaml"
	expect core_is 2 .taken_over true
	wait $holder
	expect_within 10 core_is 2 .state answers
	wait $slow
	expect cmp "$WORLD/www/blob" "$WORLD/got"
	ctl events
	expect has_event "CPU 2" "was taken over"
	expect has_event "CPU 2" "goes round again"
}

comes_home() {
	expect_within 30 buckets_are '{"2":256}'
	expect fetch --max-time 5 -o /dev/null http://198.51.100.10/
}

sums() {
	expect_within 30 sums_balance
	ctl --json service show web | jq -c .dropped
}

scenario "the work of a core that is stopped is taken over, and flows go on" others_do_its_work
scenario "its buckets come home" comes_home
scenario "packet sums balance" sums
finish
