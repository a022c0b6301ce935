#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# nics: virtio-net-pci:1:lan igb:1:lan
#
# weirctl setup, and what of it is there after the machine was booted again: with udev, modules-load and tmpfiles as
# systemd runs them, and the kernel's command line that update-grub would have made. Three boots: set up; used and undone;
# nothing is left.

# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
begin

PAGES=/sys/devices/system/node/node1/hugepages/hugepages-2048kB/nr_hugepages
RECORD=/var/lib/weir/setup.json
FILES="/etc/udev/rules.d/90-weir-setup.rules /etc/tmpfiles.d/weir-setup.conf /etc/modules-load.d/weir-setup.conf
	/etc/default/grub.d/weir-setup.cfg $RECORD"

setup() {
	WEIR_RUN_DIR=$RUN "$BUILD/weirctl" setup "$@" </dev/null
}

# By its MAC address a NIC is found only while the kernel has it.
nic=$(cat /etc/weir-test-nic 2>/dev/null) || { require nics_find; nic=$(nic_address 1); }

driver() {
	basename "$(readlink "/sys/bus/pci/devices/$nic/driver")"
}

# As Debian's: the words of the files below /etc/default, put where the boot loader takes them from.
grub_make() {
	mkdir -p /etc/default/grub.d /boot
	echo 'GRUB_CMDLINE_LINUX=""' >/etc/default/grub
	cat >/usr/sbin/update-grub <<-'END'
	#!/bin/sh
	. /etc/default/grub
	for file in /etc/default/grub.d/*.cfg; do [ ! -e "$file" ] || . "$file"; done
	echo "$GRUB_CMDLINE_LINUX" >/boot/cmdline
	END
	chmod +x /usr/sbin/update-grub
}

config() {
	CORES="[3]" MEMORY=320M pci_head front=1
	echo "services: []"
}

# The machine is booted again when this script ends; it says how often it was.
boot_again() { # COUNT
	echo "$1" >/etc/weir-test-boots
	touch $ASK/reboot
	echo "# booting again, for the $1. time" >&3
	finished=yes
	exit 0
}

set_up() {
	grub_make
	echo "$nic" >/etc/weir-test-nic
	expect_eq "isolated CPUs" "$(cat /sys/devices/system/cpu/isolated)" ""
	expect_eq "driver" "$(driver)" igb
	config >/etc/weir-test.yaml
	setup apply /etc/weir-test.yaml --yes >"$WORLD/plan" || fail "setup apply"
	cat "$WORLD/plan"
	for file in $FILES; do expect test -s "$file"; done
	expect grep -q "isolcpus=managed_irq,domain,3 nohz_full=3 rcu_nocbs=3" /boot/cmdline
	expect grep -q "next boot" "$WORLD/plan"
}

finding() { # CHECK
	"$BUILD/weirctl" --json doctor /etc/weir-test.yaml |
		jq -r --arg c "$1" '[.findings[] | select(.check == $c) | .level] | unique | join(" ")'
}

all_is_there() {
	cat /proc/cmdline
	expect_eq "isolated CPUs" "$(cat /sys/devices/system/cpu/isolated)" 3
	expect_eq "hugepages of node 1" "$(cat $PAGES)" 160
	expect_eq "driver" "$(driver)" vfio-pci
	expect test -e "/dev/vfio/$(basename "$(readlink "/sys/bus/pci/devices/$nic/iommu_group")")"
	expect_eq "doctor's word on the driver" "$(finding driver)" ok
	expect_eq "doctor's word on hugepages" "$(finding hugepages)" ok
	expect_eq "doctor's word on isolation" "$(finding isolation)" ok
	# There is nothing more to do.
	expect_eq "steps that are left to do" \
		"$(WEIR_RUN_DIR=$RUN "$BUILD/weirctl" --json setup apply /etc/weir-test.yaml </dev/null | jq '.steps | length')" 0
}

weir_runs() {
	ns_add weir
	cp /etc/weir-test.yaml "$WORLD/default.yaml"
	weir_launch
	expect_within 90 weir_answers default
	expect_within 30 port_is_there
	expect_eq "CPU of the core" "$(ctl --json core list | jq -c '[.[].cpu]')" "[3]"
	weir_stop
}

port_is_there() {
	[ "$(port_field front .driver)" = net_e1000_igb ]
}

undone() {
	expect setup undo
	expect_eq "driver" "$(driver)" igb
	for file in $FILES; do expect_not test -e "$file"; done
	expect_not grep -q isolcpus /boot/cmdline
	expect_not setup undo
}

nothing_is_left() {
	cat /proc/cmdline
	expect_eq "isolated CPUs" "$(cat /sys/devices/system/cpu/isolated)" ""
	expect_eq "hugepages of node 1" "$(cat $PAGES)" 128
	expect_eq "driver" "$(driver)" igb
	for file in $FILES; do expect_not test -e "$file"; done
	expect_not grep -rq weir /etc/udev /etc/tmpfiles.d /etc/modules-load.d /etc/default
}

case $(cat /etc/weir-test-boots 2>/dev/null) in
"")
	scenario "the machine is set up" set_up
	boot_again 1
	;;
1)
	scenario "after a boot, hugepages, driver and isolated CPUs are as set up" all_is_there
	scenario "Weir runs with them" weir_runs
	scenario "all of it is undone" undone
	boot_again 2
	;;
*)
	scenario "after another boot, nothing of it is left" nothing_is_left
	;;
esac
finish
