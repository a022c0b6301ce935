# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
#
# A world of its own for the demo and for each end-to-end test: namespaces joined by veth pairs, real
# servers in them, and Weir between. Sourced by bash scripts.
#
# world_enter starts the calling script again in new PID, mount, network and IPC namespaces. All that it
# starts, mounts and creates lives in there and goes with it, however it ends (SIGKILL too): the kernel
# ends every process of a PID namespace with its first one, and the network namespaces, the mounts and the
# files (on a tmpfs) go with the last process. So runs cannot meet each other, and names need not be unique.
#
# Inside, $WORLD is a folder for files; `at NAME COMMAND...` runs a command in the namespace NAME.

export PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin" LC_ALL=C
TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
BUILD=${WEIR_BUILD:-$TOP/build}
BUILD=$(cd "$BUILD" 2>/dev/null && pwd) || { echo "no build folder; run make first" >&2; exit 1; }
WORLD=/run/world
RUN=$WORLD/run # WEIR_RUN_DIR of all that is started here

# --- entering and leaving ---------------------------------------------------------------------

# Print why there can be no world here; nothing when there can.
world_missing() {
	if [ "$(id -u)" != 0 ]; then
		echo "this needs root"
	elif ! unshare --mount --net --pid --ipc --fork --mount-proc true 2>/dev/null; then
		echo "this needs the right to make namespaces"
	elif ! unshare --net ip link add type veth 2>/dev/null; then
		echo "the kernel has no veth"
	elif ! unshare --net ip link add type bridge 2>/dev/null; then
		echo "the kernel has no bridge"
	elif ! python3 -c 'import socket; socket.socket(44, socket.SOCK_RAW)' 2>/dev/null; then
		echo "the kernel has no AF_XDP sockets"
	fi
}

# Run the calling script ("$0" with these arguments) in a new world, and exit with its status.
world_enter() {
	[ -z "${WEIR_WORLD:-}" ] || { world_begin; return 0; }
	local child status=0
	WEIR_WORLD=1 setpriv --pdeathsig KILL \
		unshare --mount --net --pid --ipc --fork --kill-child --mount-proc bash "$0" "$@" &
	child=$!
	# unshare ignores these; its death takes the world with it.
	trap 'world_end $child; exit 130' INT
	trap 'world_end $child; exit 143' TERM HUP
	wait $child || status=$?
	exit $status
}

world_end() { # PID
	kill -KILL "$1" 2>/dev/null
	wait "$1" 2>/dev/null
	[ "$(type -t world_interrupted)" != function ] || world_interrupted
}

world_begin() {
	mount -t tmpfs -o mode=755 world /run
	mkdir -p "$WORLD" "$RUN" /run/lock /run/netns
	ip link set lo up
	# The first process of a PID namespace ignores signals that it does not handle.
	trap 'exit 143' TERM INT HUP
}

# --- waiting ----------------------------------------------------------------------------------

# wait_for SECONDS COMMAND...: until the command succeeds; 1 when it did not in that time.
wait_for() {
	local deadline=$((${EPOCHREALTIME/./} + ${1%.*} * 1000000))
	shift
	until "$@" >/dev/null 2>&1; do
		[ "${EPOCHREALTIME/./}" -lt $deadline ] || return 1
		sleep 0.02
	done
}

ended() { # PID
	! kill -0 "$1" 2>/dev/null
}

# End a child and wait for it: stop_pid PID [SIGNAL]. SIGKILL after 10 s.
stop_pid() {
	kill "-${2:-TERM}" "$1" 2>/dev/null
	wait_for 10 ended "$1" || kill -KILL "$1" 2>/dev/null
	wait "$1" 2>/dev/null
}

milliseconds() {
	echo $((${EPOCHREALTIME/./} / 1000))
}

# --- namespaces and links ---------------------------------------------------------------------

at() { # NAMESPACE COMMAND...
	local name=$1
	shift
	# Not `ip netns exec`: that would make a mount namespace for each command, and the BPF file
	# system which one instance of the daemon mounts would not be there for the next.
	nsenter --net="/run/netns/$name" -- "$@"
}

# start_at NAMESPACE COMMAND... &: the same in the background, such that $! is the command itself and not
# a shell that waits for it.
start_at() {
	local name=$1
	shift
	exec nsenter --net="/run/netns/$name" -- "$@"
}

# ns_add NAME: a network namespace. IPv6 addresses are usable at once.
ns_add() {
	ip netns add "$1"
	at "$1" sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0 \
		net.ipv6.conf.all.disable_ipv6=0 net.ipv4.ping_group_range="0 65535"
	ip -n "$1" link set lo up
}

# link_add NS1 IF1 NS2 IF2 [QUEUES]: a cable between two namespaces.
link_add() {
	local queues=()
	[ -z "${5:-}" ] || queues=(numtxqueues "$5" numrxqueues "$5")
	ip link add "$2" netns "$1" "${queues[@]}" type veth peer name "$4" netns "$3"
	ip -n "$1" link set "$2" up
	ip -n "$3" link set "$4" up
}

# switch_add NAME: a namespace with an Ethernet switch; plug_in NS IF SWITCH connects to it.
switch_add() {
	ns_add "$1"
	ip -n "$1" link add switch type bridge stp_state 0 forward_delay 0 mcast_snooping 0
	ip -n "$1" link set switch up
}

plug_in() {
	link_add "$1" "$2" "$3" "to-$1"
	ip -n "$3" link set "to-$1" master switch
}

addr_add() { # NS IF ADDRESS/LENGTH...
	local ns=$1 if=$2 address
	shift 2
	for address in "$@"; do
		if [[ $address = *:* ]]; then
			ip -n "$ns" addr add "$address" dev "$if" nodad
		else
			ip -n "$ns" addr add "$address" dev "$if"
		fi
	done
}

# --- topologies -------------------------------------------------------------------------------
# The names and addresses that all tests use:
#   client   10.1.0.2, fd01::2; also 10.1.0.3 to .6, fd01::3 to ::6
#   weir     10.1.0.1, fd01::1 on `front` (and 10.2.0.1, fd02::1 on `back` where it has two arms)
#   b1..b3   10.2.0.11 to .13, fd02::11 to ::13 behind `back`;
#            10.1.0.11 to .13, fd01::11 to ::13 where all are on one network
# Service addresses: 198.51.100.0/24 and 2001:db8:100::/64 are routed to weir by the client;
# 10.1.0.100 to .199 and fd01::100 to ::199 are on the clients' network itself.

client_addresses() {
	local n
	addr_add client eth0 10.1.0.2/24 fd01::2/64
	for n in 3 4 5 6; do
		addr_add client eth0 "10.1.0.$n/24"
		# Not preferred: used only by who asks for it, as the further IPv4 addresses are.
		ip -n client addr add "fd01::$n/64" dev eth0 nodad preferred_lft 0
	done
	ip -n client route add 198.51.100.0/24 via 10.1.0.1 src 10.1.0.2
	ip -n client route add 2001:db8:100::/64 via fd01::1 src fd01::2
}

# topology_two_armed: client -- front weir back -- switch -- b1, b2, b3
topology_two_armed() {
	local n
	ns_add client
	ns_add weir
	switch_add lan
	link_add client eth0 weir front
	plug_in weir back lan
	client_addresses
	addr_add weir front 10.1.0.1/24 fd01::1/64
	addr_add weir back 10.2.0.1/24 fd02::1/64
	for n in 1 2 3; do
		ns_add "b$n"
		plug_in "b$n" eth0 lan
		addr_add "b$n" eth0 "10.2.0.1$n/24" "fd02::1$n/64"
	done
}

# topology_one_switch: client, weir (its only port is `front`) and b1, b2, b3 on one switch; for dsr and
# for one-armed nat.
topology_one_switch() {
	local n
	switch_add lan
	ns_add client
	ns_add weir
	plug_in client eth0 lan
	plug_in weir front lan
	client_addresses
	addr_add weir front 10.1.0.1/24 fd01::1/64
	for n in 1 2 3; do
		ns_add "b$n"
		plug_in "b$n" eth0 lan
		addr_add "b$n" eth0 "10.1.0.1$n/24" "fd01::1$n/64"
	done
}

# dsr_addresses ADDRESS...: what an operator does on backends of dsr services: the service's addresses
# are theirs, but they do not tell the network.
dsr_addresses() {
	local n address
	for n in 1 2 3; do
		at "b$n" sysctl -qw net.ipv4.conf.all.arp_ignore=1 net.ipv4.conf.all.arp_announce=2
		for address in "$@"; do
			addr_add "b$n" lo "$address/$([[ $address = *:* ]] && echo 128 || echo 32)"
		done
	done
}

# --- servers ----------------------------------------------------------------------------------

declare -A nginx_pid

# nginx_start NS ADDRESS:PORT...: a real web server. Every answer has X-Backend: NS; /client answers
# with the address it sees, /proxied with what a PROXY header said, /blob with the file that blob_make made, PUT below /put/ stores.
nginx_start() {
	local ns=$1 folder=$WORLD/nginx-$1 listen
	shift
	rm -rf "$folder"
	mkdir -p "$folder/put" "$WORLD/www"
	[ -e "$WORLD/www/index.html" ] || echo "hello" >"$WORLD/www/index.html"
	{
		cat <<-END
		daemon off;
		user root;
		worker_processes 1;
		pid $folder/pid;
		error_log $folder/error.log;
		events { worker_connections 4096; }
		http {
			access_log off;
			default_type text/plain;
			client_body_temp_path $folder/body;
			proxy_temp_path $folder/proxy;
			fastcgi_temp_path $folder/fastcgi;
			uwsgi_temp_path $folder/uwsgi;
			scgi_temp_path $folder/scgi;
			client_max_body_size 1g;
			keepalive_requests 100000000;
			keepalive_timeout 60s;
			reset_timedout_connection on;
			server {
				add_header X-Backend $ns always;
				root $WORLD/www;
				location = /healthz { return 200 "ok\n"; }
				location = /client { return 200 "\$remote_addr\n"; }
				location = /proxied { return 200 "\$proxy_protocol_addr \$proxy_protocol_port \$proxy_protocol_server_addr \$proxy_protocol_server_port\n"; }
				location /put/ { root $folder; dav_methods PUT; }
		END
		for listen in "$@"; do
			echo "listen $listen backlog=4096;"
		done
		echo "}}"
	} >"$folder/nginx.conf"
	start_at "$ns" nginx -p "$folder" -c "$folder/nginx.conf" 2>>"$folder/error.log" &
	nginx_pid[$ns]=$!
	wait_for "${SERVER_WAIT:-10}" at "$ns" curl -sf -o /dev/null --max-time "${SERVER_TRY:-1}" "http://$1/healthz" || {
		echo "nginx in $ns does not answer on $1" >&2
		cat "$folder/error.log" >&2
		return 1
	}
}

# The process and its children at once, as when the machine loses power (but the address still answers).
nginx_kill() { # NS
	local pid=${nginx_pid[$1]} children
	children=$(cat "/proc/$pid/task/$pid/children")
	# The master first: it would put new ones in the place of its children.
	kill -KILL "$pid"
	# shellcheck disable=SC2086
	kill -KILL $children
	wait "$pid" 2>/dev/null
	unset "nginx_pid[$1]"
}

# blob_make MEGABYTES: random bytes at /blob
blob_make() {
	head -c "$(($1 * 1000000))" /dev/urandom >"$WORLD/www/blob"
}

udp_start() { # NS ADDRESS PORT
	start_at "$1" "$BUILD/tests/tools/weir-udp" serve "$1" "$2" "$3" &
}

iperf_start() { # NS ADDRESS PORT
	start_at "$1" iperf3 -s -B "$2" -p "$3" >"$WORLD/iperf-$1.log" 2>&1 &
}

# --- Weir -------------------------------------------------------------------------------------

declare -A weir_pid

ctl() {
	WEIR_RUN_DIR=$RUN "$BUILD/weirctl" "$@"
}

# What every configuration of a test begins with; the script adds services: below.
config_head() { # PORT=INTERFACE...
	local port
	cat <<-END
	version: 1
	dataplane: {cores: ${CORES:-[0]}, idle: ${IDLE:-sleep}, hugepages: none, memory: ${MEMORY:-192M}}
	ports:
	END
	for port in "$@"; do
		echo "  - {name: ${port%=*}, device: ${port#*=}}"
	done
}

# pretend_cpus NUMBER: what is started from here on finds so many; packet cores that sleep share those there are.
pretend_cpus() {
	[ "$(nproc)" -lt "$1" ] || return 0
	export WEIR_TEST_CPUS=$1 LD_PRELOAD=$BUILD/tests/tools/more_cpus.so
}

real_cpus() {
	unset WEIR_TEST_CPUS LD_PRELOAD
}

# weir_launch [INSTANCE [ARGUMENT...]]: start the daemon on $WORLD/INSTANCE.yaml, do not wait.
weir_launch() {
	local instance=${1:-default}
	shift $(($# > 0))
	WEIR_RUN_DIR=$RUN start_at weir "$BUILD/weir-controld" --config "$WORLD/$instance.yaml" \
		--instance "$instance" --spawn-dataplane "$@" >>"$WORLD/controld-$instance.log" 2>&1 &
	weir_pid[$instance]=$!
}

weir_answers() { # INSTANCE
	ctl --instance "$1" --json status
}

weir_answers_or_ended() { # INSTANCE
	weir_answers "$1" || ended "${weir_pid[$1]}"
}

# weir_start [INSTANCE [ARGUMENT...]]: start it, and wait until it answers.
weir_start() {
	local instance=${1:-default}
	weir_launch "$@"
	wait_for 20 weir_answers_or_ended "$instance"
	weir_answers "$instance" >/dev/null || {
		echo "weir-controld does not answer" >&2
		return 1
	}
}

dataplane_pid() { # [INSTANCE]
	ctl --instance "${1:-default}" --json status | jq -r '.dataplane.pid'
}

# SIGTERM, and wait for all of it to be gone.
weir_stop() { # [INSTANCE]
	local instance=${1:-default}
	[ -n "${weir_pid[$instance]:-}" ] || return 0
	stop_pid "${weir_pid[$instance]}"
	local status=$?
	unset "weir_pid[$instance]"
	return $status
}

backend_state_is() { # SERVICE ADDRESS:PORT STATE
	[ "$(backend_state "$1" "$2")" = "$3" ]
}

backend_state() { # SERVICE ADDRESS:PORT
	ctl --json backend list "$1" | jq -r --arg b "$2" '.[] |
		select((if .address | contains(":") then "[\(.address)]" else .address end)
			+ ":\(.port)" == $b) | .state'
}

# backends_up COUNT: so many backends, over all services, are up.
backends_up() {
	[ "$(ctl --json backend list | jq '[.[] | select(.state == "up")] | length')" = "$1" ]
}

# received = transmitted + passed to the kernel + dropped, over all ports, and for each service. What is
# still queued makes it false for a moment. DROPPED_BEFORE: what services that are gone had dropped.
sums_balance() { # [INSTANCE]
	local instance=${1:-default}
	ctl --instance "$instance" --json port list >"$WORLD/ports.json" &&
		ctl --instance "$instance" --json service list >"$WORLD/services.json" &&
		jq -e -n --argjson gone "${DROPPED_BEFORE:-0}" --slurpfile p "$WORLD/ports.json" --slurpfile s "$WORLD/services.json" '
			([$p[0][].packets_received] | add) as $received |
			([$p[0][] | .packets_transmitted - .originated] | add) as $transmitted |
			([$p[0][].passed_to_kernel] | add) as $passed |
			([$p[0][], $s[0][] | .dropped | add // 0] | add) as $dropped |
			$received > 0 and $received == $transmitted + $passed + $dropped + $gone and
			([$s[0][] | .packets_received == .packets_transmitted + (.dropped | add // 0)] | all)' \
			>/dev/null
}

# What helps to understand a failure.
world_explain() {
	local instance log
	for instance in "${!weir_pid[@]}"; do
		echo "--- weirctl --instance $instance"
		ctl --instance "$instance" status 2>&1
		ctl --instance "$instance" --json service list 2>&1
		ctl --instance "$instance" --json backend list 2>&1
		ctl --instance "$instance" --json port list 2>&1
	done
	for log in "$WORLD"/*.log "$WORLD"/nginx-*/error.log; do
		[ -s "$log" ] || continue
		echo "--- $log (last 40 lines)"
		tail -n 40 "$log"
	done
}
