# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
#
# The frame of a test in the emulated server: that of the end-to-end tests, in which some cables are NICs.
#
#	# nics: igb:0:front igb:0:front ...   what the runner plugs in: MODEL:NODE:CABLE, in this order nic0, nic1...
#	. "$(dirname "$0")/lib.sh"
#	begin
#
# NICs that Weir is to have are bound to vfio-pci; the others are the peers', in their namespaces.

export SERVER_WAIT=90 SERVER_TRY=10 # the emulated CPUs are slow
export WEIR_WORLD=1 # the guest is a world of its own
ASK=/proc/self/fd/8
exec 8</run/share # /run becomes the world's
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../e2e/lib.sh"

# A command for QEMU's monitor, as: machine set_link nic0 off
machine() {
	echo "$*" >$ASK/ask.new
	mv $ASK/ask.new $ASK/ask
	wait_for 30 machine_has_done
}

machine_has_done() {
	[ ! -e $ASK/ask ]
}

# nic_address N: of nicN, "0000:21:00.0". The runner gave it a MAC address that ends with its number.
nic_address() {
	cat "$WORLD/nic$1"
}

# Find the NICs while all of them have their kernel's drivers.
nics_find() {
	local path mac
	for path in /sys/bus/pci/devices/*/net/* /sys/bus/pci/devices/*/virtio*/net/*; do
		[ -e "$path/address" ] || continue
		mac=$(cat "$path/address")
		path=${path#/sys/bus/pci/devices/}
		echo "${path%%/*}" >"$WORLD/nic$((16#${mac##*:}))"
		echo "${path##*/}" >"$WORLD/nic$((16#${mac##*:})).if"
	done
}

nic_is_gone() { # N
	[ ! -e "/sys/bus/pci/devices/$(nic_address "$1")" ]
}

# As an operator does it: the NIC is nobody's but vfio's.
nic_to_vfio() { # N
	local address
	address=$(nic_address "$1")
	[ ! -e "/sys/bus/pci/devices/$address/driver" ] || echo "$address" >"/sys/bus/pci/devices/$address/driver/unbind"
	echo vfio-pci >"/sys/bus/pci/devices/$address/driver_override"
	echo "$address" >/sys/bus/pci/drivers_probe
	[ "$(basename "$(readlink "/sys/bus/pci/devices/$address/driver")")" = vfio-pci ]
}

# The NIC is the interface eth0 in a namespace: nic_to_namespace N NS
nic_to_namespace() {
	local if
	if=$(cat "$WORLD/nic$1.if")
	ip link set "$if" netns "$2"
	ip -n "$2" link set "$if" name eth0
	ip -n "$2" link set eth0 up
}

# topology_pci_two_armed: client -- nic0 | nic1 weir nic2 | nic3 -- b1, b2, b3, with the names and addresses of
# topology_two_armed. Weir's interfaces are there when it runs: pci_start.
topology_pci_two_armed() {
	local n
	nics_find
	ns_add client
	ns_add weir
	ns_add lan
	nic_to_namespace 0 client
	nic_to_namespace 3 lan
	nic_to_vfio 1
	nic_to_vfio 2
	client_addresses
	for n in 1 2 3; do
		backend_add "b$n"
		addr_add "b$n" eth0 "10.2.0.1$n/24" "fd02::1$n/64"
	done
}

# topology_pci_one_switch: client (nic0), weir (nic1) and b1, b2, b3 (nic2) on one network.
topology_pci_one_switch() {
	local n
	nics_find
	ns_add client
	ns_add weir
	ns_add lan
	nic_to_namespace 0 client
	nic_to_namespace 2 lan
	nic_to_vfio 1
	client_addresses
	for n in 1 2 3; do
		backend_add "b$n"
		addr_add "b$n" eth0 "10.1.0.1$n/24" "fd01::1$n/64"
	done
}

# A host of its own behind the NIC of the namespace lan.
backend_add() { # NS
	ns_add "$1"
	ip -n lan link add link eth0 name "to-$1" netns "$1" type macvlan mode bridge
	ip -n "$1" link set "to-$1" name eth0
	ip -n "$1" link set eth0 up
}

pci_head() { # PORT=N...: ports on nicN
	local port
	cat <<-END
	version: 1
	dataplane: {cores: ${CORES:-[1]}, idle: ${IDLE:-sleep}, hugepages: ${HUGEPAGES:-required}, memory: ${MEMORY:-160M}}
	ports:
	END
	for port in "$@"; do
		echo "  - {name: ${port%=*}, device: \"$(nic_address "${port#*=}")\"}"
	done
}

# Start Weir, and give its ports' interfaces the host's addresses.
pci_start() { # PORT...
	weir_launch
	wait_for 300 weir_answers default || { tail -n 20 "$WORLD"/controld-default.log; return 1; }
	pci_addresses "$@"
}

pci_addresses() { # PORT...
	local port
	for port in "$@"; do
		wait_for 300 ip -n weir link show "$port" || return 1
		case $port in
		front) addr_add weir front 10.1.0.1/24 fd01::1/64 ;;
		back) addr_add weir back 10.2.0.1/24 fd02::1/64 ;;
		esac
	done
}

port_field() { # PORT JQ
	ctl --json port show "$1" | jq -r "$2"
}

port_link_is() { # PORT true|false
	[ "$(port_field "$1" .link)" = "$2" ]
}

has_event() { # PORT TEXT
	ctl --json events | jq -e --arg p "$1" --arg t "$2" \
		'[.[] | select((tostring | contains($p)) and (tostring | contains($t)))] | length > 0'
}

# other_port_begin PORT URL: requests of the host's own by a port that nothing is done to, one after another.
other_port_begin() {
	other_port=$1
	other_downs=$(port_downs "$1")
	rm -f "$WORLD/enough"
	other_port_asks "$2" &
	other_pid=$!
}

other_port_asks() { # URL
	local n=0 failed=0
	until [ -e "$WORLD/enough" ]; do
		at weir curl -sS --fail --max-time 20 -o /dev/null "$1" || failed=$((failed + 1))
		n=$((n + 1))
	done
	echo "$n $failed" >"$WORLD/other"
}

# None of them has failed, and its link was up all the time.
other_port_end() {
	local n failed
	touch "$WORLD/enough"
	wait "$other_pid"
	read -r n failed <"$WORLD/other"
	echo "by $other_port meanwhile: $n requests, $failed failed"
	expect_number "requests by $other_port" "$n" -ge 5
	expect_eq "requests by $other_port that failed" "$failed" 0
	expect_eq "link of $other_port" "$(port_field "$other_port" .link)" true
	expect_eq "times its link was down" $(($(port_downs "$other_port") - other_downs)) 0
}

port_downs() { # PORT
	ctl --json events | jq --arg p "$1" '[.[] | select((.object == $p) and (.text | contains("is down")))] | length'
}
