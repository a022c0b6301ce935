#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# First process in the guest's real root: load modules, run the command, leave its status, switch off.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8
exec >/dev/console 2>&1
/run/busybox hostname weir-guest
for module in vfio_iommu_type1 vfio-pci tun veth macvlan virtio_net vmxnet3 e1000e igb; do
	/run/busybox modprobe "$module"
done
ip link set lo up
cd /run/share || exit 1
bash ./command
echo $? >./status
sync
/run/busybox poweroff -f
