#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Directives against real TCP stacks, without the daemon's adaptation: idle connections of a backend are closed at
# both ends, by what the backend's own kernel says of them.

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
begin

require topology_two_armed 2
require nginx_start b1 10.2.0.11:8080 '[fd02::11]:8080'
require nginx_start b2 10.2.0.12:8080 '[fd02::12]:8080'
{
	config_head front=front back=back
	cat <<-END
	services:
	  - name: web4
	    address: 198.51.100.10
	    port: 80
	    protocol: tcp
	    mode: nat
	    source-addresses: [10.2.0.100]
	    health: {type: none}
	    backends: [{address: 10.2.0.11, port: 8080}, {address: 10.2.0.12, port: 8080}]
	  - name: web6
	    address: 2001:db8:100::10
	    port: 80
	    protocol: tcp
	    mode: nat
	    source-addresses: ['fd02::100']
	    health: {type: none}
	    backends: [{address: 'fd02::11', port: 8080}, {address: 'fd02::12', port: 8080}]
	END
} >"$WORLD/default.yaml"
require weir_start
require wait_for 10 backends_up 4

# direct SERVICE ADDRESS CLOSE CAP [EJECTED]: for one backend; repeated by who calls it
direct() {
	at weir python3 - "$RUN/default/dataplane.sock" "$@" <<-'END'
	import socket, struct, sys, time
	path, service, address, close, cap, ejected = sys.argv[1:4] + [int(n) for n in (sys.argv[4:] + ["0"])[:3]]
	s = socket.socket(socket.AF_UNIX)
	s.connect(path)
	s.settimeout(5)

	def call(kind, body):
	    s.sendall(struct.pack("<IHHIIiI", 0x57726d31, kind, 0, len(body), 1, 0, 0) + body)
	    while True:
	        head = s.recv(24, socket.MSG_WAITALL)
	        _, got, _, length, _, status, _ = struct.unpack("<IHHIIiI", head)
	        text = s.recv(length, socket.MSG_WAITALL) if length else b""
	        if got == kind:
	            if status:
	                sys.exit(text.decode())
	            return

	six = ":" in address
	packed = socket.inet_pton(socket.AF_INET6, address if six else "::ffff:" + address)
	none = 2**64 - 1
	call(1, struct.pack("<II", 0, 0xffffffff))
	body = service.encode().ljust(64, b"\0")
	body += struct.pack("<10QIIIBBHII", time.monotonic_ns(), 0, 0, 0, none, none, none, none, none, 0, 0, 1, 0, 0, 0, 0, 0, 0)
	body += packed + struct.pack("<HBBIIII", 8080, ejected, 0, 100000, cap, cap, close)
	call(20, body)
	END
}

connections() { # NS: how many a backend has
	at "$1" ss -Htn state established sport = :8080 | wc -l
}

# Holds twenty connections that had an answer each; each time it is asked it writes how many of them have ended, how many
# give another answer, and how many are reset instead.
cat >"$WORLD/holder.py" <<-'END'
import socket, sys
held = []
for _ in range(20):
    s = socket.create_connection((sys.argv[1], 80), timeout=10)
    s.sendall(b"GET / HTTP/1.1\r\nHost: web\r\n\r\n")
    got = b""
    while b"hello" not in got:
        got += s.recv(4096)
    s.settimeout(0)
    held.append(s)
print("held", flush=True)
for line in sys.stdin:
    reset = served = refused = 0
    for s in list(held):
        try:
            s.recv(1)
        except BlockingIOError:
            continue
        except ConnectionResetError:
            reset += 1
        held.remove(s)
    for s in held:
        s.settimeout(1)
        s.sendall(b"GET / HTTP/1.1\r\nHost: web\r\n\r\n")
        got = b""
        try:
            while b"hello" not in got:
                got += s.recv(4096)
            served += 1
        except ConnectionResetError:
            refused += 1
        s.settimeout(0)
    print(reset, served, refused, flush=True)
END

closed_at() { # SERVICE ADDRESS-OF-B1 URL
	direct "$1" "$2" 1000 4294967295
	fetch "$3" >/dev/null # a packet of the service passes
	[ "$(connections b1)" = 0 ]
}

idle_ones_close() { # SERVICE ADDRESS-OF-B1 SERVICE-ADDRESS URL
	local one two line reset served refused
	coproc HOLDER { exec 3>&-; at client python3 "$WORLD/holder.py" "$3"; }
	read -r -t 30 line <&"${HOLDER[0]}"
	expect_eq "the holder says" "$line" held
	one=$(connections b1)
	two=$(connections b2)
	expect_eq "connections" $((one + two)) 20
	expect_number "of b1" "$one" -gt 0
	expect_within 20 closed_at "$1" "$2" "$4"
	expect_eq "connections of b2" "$(connections b2)" "$two"
	echo look >&"${HOLDER[1]}"
	read -r -t 30 reset served refused <&"${HOLDER[0]}"
	expect_eq "resets that the client got" "$reset" "$one"
	expect_eq "of b2, and still served" "$served" "$two"
	expect_eq "reset when they asked" "$refused" 0
	kill "$HOLDER_PID"
	wait "$HOLDER_PID"
	true
}

scenario "idle connections of one backend end at both ends, over IPv4" idle_ones_close \
	web4 10.2.0.11 198.51.100.10 http://198.51.100.10/
scenario "and over IPv6" idle_ones_close \
	web6 fd02::11 2001:db8:100::10 'http://[2001:db8:100::10]/'
# b1 is cut off, and ejected: what its clients ask for ends at once, and not after their patience.
dead_one_lets_go() {
	local one two line reset served refused
	coproc HOLDER { exec 3>&-; at client python3 "$WORLD/holder.py" 198.51.100.10; }
	read -r -t 30 line <&"${HOLDER[0]}"
	expect_eq "the holder says" "$line" held
	one=$(connections b1)
	two=$(connections b2)
	expect_eq "connections" $((one + two)) 20
	expect_number "of b1" "$one" -gt 0
	ip -n b1 link set eth0 down
	direct web4 10.2.0.11 0 4294967295 1
	echo look >&"${HOLDER[1]}"
	read -r -t 30 reset served refused <&"${HOLDER[0]}"
	expect_eq "ended before they asked" "$reset" 0
	expect_eq "of b2, and served" "$served" "$two"
	expect_eq "of b1, and reset when they asked" "$refused" "$one"
	kill "$HOLDER_PID"
	wait "$HOLDER_PID"
	ip -n b1 link set eth0 up
}

scenario "connections kept to a dead one that is ejected are reset when their clients ask" dead_one_lets_go
scenario "all packets are accounted for" expect_balance
finish
