#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# First process in the guest's real root: load modules, run the command, leave its status, switch off. When the command
# has made a file `reboot` in /run/share, the machine boots again: with what was written below /etc, /boot, /usr and
# /var/lib, and with the words of /boot/cmdline on the kernel's command line.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8
exec >/dev/console 2>&1
/run/busybox hostname weir-guest
cd /run/share || exit 1
[ -e /usr/sbin/modprobe ] || { cp kmod /usr/bin/ && ln -s ../bin/kmod /usr/sbin/modprobe; }
if [ -e ./disk.tar ]; then
	# As systemd does it, with the programs that it runs.
	/run/busybox modprobe vfio_iommu_type1
	/lib/systemd/systemd-modules-load
	/lib/systemd/systemd-udevd --daemon
	udevadm trigger --type=subsystems --action=add
	udevadm trigger --type=devices --action=add
	udevadm settle --timeout=60
	systemd-tmpfiles --create --boot --prefix=/sys --prefix=/var
else
	for module in vfio_iommu_type1 vfio-pci virtio_net vmxnet3 e1000e igb; do
		/run/busybox modprobe "$module"
	done
fi
for module in tun veth macvlan; do
	/run/busybox modprobe "$module"
done
ip link set lo up
bash ./command
status=$?
if [ -e ./reboot ]; then
	(cd /run/rw/upper && for path in etc boot usr/bin usr/sbin var/lib; do
		[ ! -e $path ] || echo $path
	done | xargs tar -c -f /run/share/disk.tar)
	rm -f ./cmdline
	[ ! -e /boot/cmdline ] || cp /boot/cmdline ./cmdline
	sync
	/run/busybox reboot -f
fi
echo $status >./status
sync
/run/busybox poweroff -f
