#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# The test bed itself, without Weir: when this fails, no other result means anything.

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
begin

require topology_two_armed
at weir sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
for n in 1 2 3; do
	ip -n "b$n" route add default via 10.2.0.1
	ip -n "b$n" route add default via fd02::1
done
ip -n client route add 10.2.0.0/24 via 10.1.0.1
ip -n client route add fd02::/64 via fd01::1

web_server_answers() {
	nginx_start b1 10.2.0.11:8080 '[fd02::11]:8080'
	expect_eq "answer over IPv4" "$(fetch http://10.2.0.11:8080/client)" 10.1.0.2
	expect_eq "answer over IPv6" "$(fetch 'http://[fd02::11]:8080/client')" fd01::2
	expect_eq "name" "$(fetch -D - -o /dev/null http://10.2.0.11:8080/ | tr -d '\r' |
		sed -n 's/^X-Backend: //p')" b1
}

upload_arrives() {
	blob_make 3
	expect fetch -T "$WORLD/www/blob" http://10.2.0.11:8080/put/blob
	expect cmp "$WORLD/www/blob" "$WORLD/nginx-b1/put/blob"
}

closed_loop() {
	load_start closed -c 4 -n 500 -i 0.05 http://10.2.0.11:8080/
	load_wait closed
	expect_no_failures closed
	expect_eq "answers" "$(load_field closed .ok)" 500
	expect_eq "answers of b1" "$(load_field closed .backends.b1.ok)" 500
	load_start keepalive -c 4 -n 5000 -k 0 'http://[fd02::11]:8080/'
	load_wait keepalive
	expect_no_failures keepalive
	expect_eq "answers with keepalive" "$(load_field keepalive .ok)" 5000
}

open_loop() {
	load_start open -c 1000 -r 500 -t 1 http://10.2.0.11:8080/
	load_wait open
	expect_no_failures open
	expect_number "answers" "$(load_field open .ok)" -ge 450
	# Its last second is longer when nobody gives it a CPU.
	expect_number "answers" "$(load_field open .ok)" -le "$(load_field open '500 * .elapsed + 1')"
}

failures_are_counted() {
	load_start refused -c 2 -n 10 -t 3 http://10.2.0.11:9/
	load_wait refused
	expect_eq "refused connections" "$(load_field refused .failures.connect)" 10
	load_start missing -c 2 -n 10 http://10.2.0.11:8080/no-such-file
	load_wait missing
	expect_eq "answers with a bad status" "$(load_field missing .failures.status)" 10
	load_start silent -c 2 -n 2 -T 0.2 http://10.1.0.77:80/
	load_wait silent
	expect_eq "timeouts" "$(load_field silent .failures.timeout)" 2
}

udp_answers() {
	udp_start b2 10.2.0.12 9000
	udp_start b2 fd02::12 9000
	wait_for 5 at client "$BUILD/tests/tools/weir-udp" send -f 1 -n 1 -w 0.05 fd02::12 9000
	expect at client "$BUILD/tests/tools/weir-udp" send -f 20 -n 20 10.2.0.12 9000
	expect at client "$BUILD/tests/tools/weir-udp" send -s 1400 fd02::12 9000
	expect_not at client "$BUILD/tests/tools/weir-udp" send -w 0.1 10.2.0.12 9001
}

# crowd NAME RATES ARGUMENT...: weir-crowd of the client's five addresses against weir-origin in b3
crowd() {
	local name=$1
	shift
	at client "$BUILD/tests/tools/weir-crowd" -c all,10.1.0.2,5,0.5,0.3 -R "$WORLD/$name.records" "$@" \
		10.2.0.13:8080 >"$WORLD/$name"
	tail -n 1 "$WORLD/$name"
}

outcomes() { # NAME OUTCOME
	awk -v o="$2" '$4 == o { n++ } END { print n + 0 }' "$WORLD/$1.records"
}

crowd_comes_again() {
	local origin
	start_at b3 "$BUILD/tests/tools/weir-origin" -c 4 -m 0.01 10.2.0.13:8080 >"$WORLD/origin" &
	origin=$!
	wait_for 5 at b3 curl -sf http://10.2.0.13:8080/healthz
	crowd first -t 2 -r all,0,100,1 -s 7 -T 10
	crowd second -t 2 -r all,0,100,1 -s 7 -T 10
	expect_number "arrivals" "$(wc -l <"$WORLD/first.records")" -gt 100
	expect_eq "answers" "$(outcomes first ok)" "$(wc -l <"$WORLD/first.records")"
	expect_eq "answers in the summary" "$(load_field first .all.ok)" "$(outcomes first ok)"
	expect_eq "sources" "$(cut -d ' ' -f 3 "$WORLD/first.records" | sort -u | wc -l)" 5
	cut -d ' ' -f 1-4 "$WORLD/first.records" >"$WORLD/first.arrivals"
	expect_eq "the same seed" "$(cut -d ' ' -f 1-4 "$WORLD/second.records" | diff "$WORLD/first.arrivals" -)" ""
	stop_pid $origin
	crowd third -t 1 -r all,0,50
	expect_eq "refused" "$(outcomes third refused)" "$(wc -l <"$WORLD/third.records")"
	# What was done with, and what the clients counted.
	expect_eq "done" "$(tail -n 1 "$WORLD/origin" | jq .done)" $((2 * $(outcomes first ok)))
}

# How many of a crowd's requests of a stretch of time have that OUTCOME and took so long: took NAME FROM TO OUTCOME MS
took() {
	awk -v a="$2" -v b="$3" -v o="$4" -v ms="$5" '$1 >= a * 1e6 && $1 < b * 1e6 && $4 == o &&
		$5 >= ms * 1000 { n++ } END { print n + 0 }' "$WORLD/$1.records"
}

asked() { # NAME FROM TO
	awk -v a="$2" -v b="$3" '$1 >= a * 1e6 && $1 < b * 1e6 { n++ } END { print n + 0 }' "$WORLD/$1.records"
}

origin_slow_and_dead() {
	local start origin
	start=$(python3 -c 'import time; print(time.monotonic_ns() + 10 ** 9)')
	start_at b3 "$BUILD/tests/tools/weir-origin" -c 64 -m 0.01 -g 0 -x 0.5,0-0,slow=20 -x 1,0-0,dead \
		-x 5,0-0,alive -S "$start" 10.2.0.13:8080 >"$WORLD/origin" &
	origin=$!
	wait_for 5 at b3 curl -sf http://10.2.0.13:8080/healthz
	crowd change -e -r all,0,100 -t 1.4 -T 3 -S "$start"
	expect_number "asked" "$(asked change 0 0.3)" -ge 25
	expect_eq "before" "$(took change 0 0.3 ok 10)" "$(asked change 0 0.3)"
	# A little before it dies what was begun cannot be done.
	expect_eq "slow" "$(took change 0.55 0.75 ok 200)" "$(asked change 0.55 0.75)"
	expect_eq "dead" "$(took change 1.05 1.4 timeout 3000)" "$(asked change 1.05 1.4)"
	expect_within 10 at client curl -sf --max-time 1 http://10.2.0.13:8080/healthz
	stop_pid $origin
}

scenario "a web server behind the kernel's own forwarding answers over both families" web_server_answers
scenario "an upload arrives unchanged" upload_arrives
scenario "the load generator counts every answer of a closed loop" closed_loop
scenario "the load generator keeps its rate in an open loop" open_loop
scenario "the load generator counts refusals, bad answers and timeouts as failures" failures_are_counted
scenario "a crowd comes at the times of its seed, from many sources, and every outcome is counted" crowd_comes_again
scenario "backends get slow, die and come back when the schedule says so" origin_slow_and_dead
scenario "the UDP client gets every datagram back, and notices when it does not" udp_answers
finish
