#!/bin/busybox sh
# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=dash
#
# First process in the guest: put the machine's own root, read-only, under a file system in memory.
b=/bin/busybox
$b mkdir -p /proc /sys /dev /lower /rw /new /share
$b mount -t proc proc /proc
$b mount -t sysfs sysfs /sys
$b mount -t devtmpfs dev /dev
version=$($b uname -r)
while read -r module; do $b insmod "/lib/modules/$version/$module"; done </boot.modules
$b mount -t 9p -o trans=virtio,version=9p2000.L,ro,cache=loose,msize=524288 root /lower || exec $b sh
$b mount -t tmpfs rw /rw
$b mkdir -p /rw/upper /rw/work
$b mount -t 9p -o trans=virtio,version=9p2000.L,msize=524288 share /share
# What the boot before has left on its disk.
[ ! -e /share/disk.tar ] || $b tar -x -f /share/disk.tar -C /rw/upper
$b mount -t overlay -o lowerdir=/lower,upperdir=/rw/upper,workdir=/rw/work root /new || exec $b sh
$b mkdir -p /new/proc /new/sys /new/dev /new/tmp /new/run /new/usr/lib/modules
for path in tmp run var/tmp; do $b mount -t tmpfs "$path" "/new/$path"; done
$b cp -a "/lib/modules/$version" /new/usr/lib/modules/
$b cp /bin/busybox /new/run/busybox
$b mkdir -p /new/run/share
$b mount --move /share /new/run/share
$b mkdir -p /new/run/rw
$b mount --bind /rw /new/run/rw
$b mkdir -p /dev/shm /dev/pts /dev/hugepages
$b mount -t tmpfs shm /dev/shm
$b mount -t devpts pts /dev/pts
$b mount -t bpf bpf /sys/fs/bpf
$b mount -t hugetlbfs -o pagesize=2M huge /dev/hugepages
$b mount --move /sys /new/sys
$b mount --move /dev /new/dev
echo "guest: root is ready" >/new/dev/console
$b mount --move /proc /new/proc
exec $b switch_root /new /bin/bash /run/share/guest-init.sh
