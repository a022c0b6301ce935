#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# nics: virtio-net-pci:1:lan igb:1:lan
#
# weirctl setup on a machine with two nodes: hugepages and a NIC for Weir, and back. What it writes below /etc and
# /var goes to memory here.

# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
begin

PAGES=/sys/devices/system/node/node1/hugepages/hugepages-2048kB/nr_hugepages

require nics_find
nic=$(nic_address 1)
for folder in /etc/tmpfiles.d /etc/modules-load.d /etc/udev/rules.d /etc/default /var/lib; do
	mkdir -p $folder
	mount -t tmpfs none $folder
done
mkdir -p "$WORLD/bin"
printf '#!/bin/sh\necho ran >>%s/grub\n' "$WORLD" >"$WORLD/bin/update-grub"
printf '#!/bin/sh\n' >"$WORLD/bin/modprobe" # the guest has its modules loaded
chmod +x "$WORLD/bin/update-grub" "$WORLD/bin/modprobe"
PATH=$WORLD/bin:$PATH
touch /etc/default/grub
CORES="[3]" MEMORY=320M pci_head front=1 >"$WORLD/default.yaml"
echo "services: []" >>"$WORLD/default.yaml"

setup() {
	WEIR_RUN_DIR=$RUN "$BUILD/weirctl" setup "$@" </dev/null
}

driver() {
	basename "$(readlink "/sys/bus/pci/devices/$nic/driver")"
}

plan_changes_nothing() {
	local before
	before=$(cat $PAGES)
	setup apply "$WORLD/default.yaml" >"$WORLD/plan"
	cat "$WORLD/plan"
	expect grep -q "160 hugepages of 2 MiB on node 1" "$WORLD/plan"
	expect grep -q "vfio-pci for $nic (port front)" "$WORLD/plan"
	expect grep -q "isolcpus=managed_irq,domain,3" "$WORLD/plan"
	expect grep -q "nothing was changed" "$WORLD/plan"
	expect_eq "hugepages" "$(cat $PAGES)" "$before"
	expect_eq "driver" "$(driver)" igb
	expect_not test -e /var/lib/weir/setup.json
}

applied() {
	expect setup apply "$WORLD/default.yaml" --yes
	expect_eq "hugepages" "$(cat $PAGES)" 160
	expect_eq "driver" "$(driver)" vfio-pci
	expect grep -q "$nic" /etc/udev/rules.d/90-weir-setup.rules
	expect grep -q "w $PAGES - - - - 160" /etc/tmpfiles.d/weir-setup.conf
	expect test -s "$WORLD/grub"
	expect_eq "doctor's word on the driver" "$("$BUILD/weirctl" --json doctor "$WORLD/default.yaml" |
		jq -r '.findings[] | select(.check == "driver") | .level')" ok
}

# What the rule runs, on a NIC that the kernel's driver had first: as at a boot with that driver in the initramfs.
rule_binds_at_boot() {
	local run
	echo "$nic" >"/sys/bus/pci/devices/$nic/driver/unbind"
	echo igb >"/sys/bus/pci/devices/$nic/driver_override"
	echo "$nic" >/sys/bus/pci/drivers_probe
	expect_eq "driver" "$(driver)" igb
	echo vfio-pci >"/sys/bus/pci/devices/$nic/driver_override"
	run=$(sed -n "s/.*RUN+=\"\(.*\)\"$/\1/p" /etc/udev/rules.d/90-weir-setup.rules)
	eval "$run"
	expect_eq "driver" "$(driver)" vfio-pci
}

undone() {
	expect setup undo
	expect_eq "driver" "$(driver)" igb
	expect_number "hugepages" "$(cat $PAGES)" -lt 160
	expect_not test -e /etc/udev/rules.d/90-weir-setup.rules
	expect_not test -e /etc/tmpfiles.d/weir-setup.conf
	expect_not test -e /var/lib/weir/setup.json
	expect_not setup undo
}

scenario "the plan is shown, and nothing is changed" plan_changes_nothing
scenario "with a yes, hugepages and the NIC are Weir's" applied
scenario "the rule for the boot takes the NIC from the kernel's driver" rule_binds_at_boot
scenario "undo gives everything back" undone
finish
