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

# As an operator does it: the NIC is nobody's but vfio's.
nic_to_vfio() { # N
	local address
	address=$(nic_address "$1")
	echo "$address" >"/sys/bus/pci/devices/$address/driver/unbind"
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
