# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
#
# The world of the tests of cores: interfaces with two queues, web servers and an echo behind, more CPUs than there
# are. Sourced after begin.

config() { # WORKERS [KEYS of echo]
	config_head front=front back=back
	cat <<-END
	services:
	  - name: web
	    address: 198.51.100.10
	    port: 80
	    protocol: tcp
	    mode: nat
	    cores: $1
	    source-addresses: [10.2.0.100]
	    health: {type: http, path: /healthz, interval: 200ms, timeout: 150ms}
	    backends:
	      - {address: 10.2.0.11, port: 8080}
	      - {address: 10.2.0.12, port: 8080}
	  - name: echo
	    address: 198.51.100.10
	    port: 9000
	    protocol: udp
	    mode: nat
	    source-addresses: [10.2.0.100]
	    health: {type: none}
	    backends:
	      - {address: 10.2.0.11, port: 9000}
	END
	[ -z "${2:-}" ] || printf '    %s\n' "${@:2}"
}

require topology_two_armed
# In place of the plain cables, ones with two queues.
ip -n weir link del back
ip -n weir link del front
link_add client eth0 weir front 2
link_add weir back lan to-weir 2
ip -n lan link set to-weir master switch
client_addresses
addr_add weir front 10.1.0.1/24 fd01::1/64
addr_add weir back 10.2.0.1/24 fd02::1/64
for n in 1 2; do
	# Each case begins with the same translated ports: backends must not remember those of the one before (TIME_WAIT).
	at "b$n" sysctl -qw net.ipv4.tcp_max_tw_buckets=0
	require nginx_start "b$n" "10.2.0.1$n:8080"
	udp_start "b$n" "10.2.0.1$n" 9000
done
