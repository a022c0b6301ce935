#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Boot the emulated server and run a command in it as root: run-guest.sh GUESTDIR SHAREDIR COMMAND
#
# It has two nodes of two cores and a PCIe host bridge on each, an IOMMU and the NICs it is told to have.
# Its root is this machine's root, read-only, what is written goes to memory; SHAREDIR is /run/share, read
# and write. A guest that wants to is booted again (guest-init.sh). What the guest writes to /run/share/ask is a command for QEMU's monitor ("set_link nic0 off"),
# done when the file is gone. The exit status is the command's; 99 when the guest did not come so far.
#
#   NICS       "MODEL:NODE:CABLE ..."; NICs with the same CABLE are joined. They are nic0, nic1, ...
#   MEM_NODE   MiB of memory of a node      HUGE_NODE  its hugepages of 2 MiB
#   TIMEOUT    seconds for one run          TRIES      a boot that never starts is tried again
set -u
guest=$(cd "$1" && pwd) && share=$(cd "$2" && pwd) || exit 2
nics=${NICS:-igb:0:a igb:1:a}
mem=${MEM_NODE:-1024}
huge=${HUGE_NODE:-128}
log=$share/console.log
lib=$guest/qemu/usr/lib/x86_64-linux-gnu
export LD_LIBRARY_PATH=$lib:$guest/qemu/lib/x86_64-linux-gnu QEMU_MODULE_DIR=$lib/qemu

cp "$(dirname "$0")/guest-init.sh" "$guest/host/bin/kmod" "$share/"
printf '%s\n' "$3" >"$share/command"

kernel=(console=ttyS0 quiet "panic=-1" "mitigations=off" nokaslr nowatchdog "tsc=reliable" "random.trust_cpu=on"
	"intel_iommu=on" "iommu=nopt" "hugepagesz=2M" "hugepages=0:$huge,1:$huge" cryptomgr.notests
	"initcall_blacklist=crypto_kdf108_init,load_system_certificate_list")
arguments=(-L "$guest/qemu/usr/share/qemu" -L "$guest/qemu/usr/share/seabios" -L "$guest/qemu/usr/lib/ipxe/qemu"
	-name weir-guest -machine q35 -accel "tcg,thread=multi,tb-size=256" -cpu "max,la57=off,erms=off,fsrm=off"
	-smp "4,sockets=2,cores=2,threads=1" -m "$((2 * mem))M"
	-object "memory-backend-ram,id=m0,size=${mem}M" -object "memory-backend-ram,id=m1,size=${mem}M"
	-numa "node,nodeid=0,cpus=0-1,memdev=m0" -numa "node,nodeid=1,cpus=2-3,memdev=m1" -numa "dist,src=0,dst=1,val=21"
	-nodefaults -no-reboot -display none -serial "file:$log" -monitor "unix:$share/monitor,server,nowait"
	-kernel "$guest/vmlinux" -initrd "$guest/initrd.img"
	-fsdev "local,id=root,path=/,security_model=none,readonly=on,multidevs=remap"
	-device "virtio-9p-pci,fsdev=root,mount_tag=root"
	-fsdev "local,id=share,path=$share,security_model=none,multidevs=remap"
	-device "virtio-9p-pci,fsdev=share,mount_tag=share"
	-device "intel-iommu,intremap=on,caching-mode=on,device-iotlb=on"
	-device "pxb-pcie,id=pxb0,bus_nr=32,bus=pcie.0,numa_node=0"  # buses 0x20 and up on node 0
	-device "pxb-pcie,id=pxb1,bus_nr=64,bus=pcie.0,numa_node=1") # buses 0x40 and up on node 1

count=0
slots=(0 0)
hubs=0
declare -A hub=()
for nic in $nics; do
	IFS=: read -r model node cable <<<"$nic"
	[ -n "${hub[$cable]:-}" ] || hub[$cable]=$((hubs++))
	options=
	case $model in virtio-net-pci*) options=,disable-legacy=on,iommu_platform=on,ats=on ;; esac
	mac=$(printf '52:54:00:00:%02x:%02x' "$node" "$count")
	arguments+=(-device "pcie-root-port,id=rp$count,bus=pxb$node,chassis=$((count + 1)),slot=$((count + 1)),addr=0x$(printf %x "${slots[node]}")"
		-netdev "hubport,id=n$count,hubid=${hub[$cable]}"
		-device "$model,id=nic$count,bus=rp$count,netdev=n$count,mac=$mac$options")
	slots[node]=$((slots[node] + 1))
	count=$((count + 1))
done

started() { grep -q 'guest: root is ready' "$log"; }

monitor() { # COMMAND
	python3 - "$share/monitor" "$1" <<-'END'
		import socket, sys
		s = socket.socket(socket.AF_UNIX)
		s.connect(sys.argv[1])
		s.settimeout(5)
		def prompt():
		    got = b""
		    while not got.endswith(b"(qemu) "):
		        got += s.recv(4096)
		prompt()
		s.send(sys.argv[2].encode() + b"\n")
		prompt()
	END
}

try=0
while [ $((++try)) -le "${TRIES:-3}" ]; do
	rm -f "$share/status" "$share/ask" "$share/monitor"
	: >"$log"
	timeout "${TIMEOUT:-240}" "$guest/qemu/usr/bin/qemu-system-x86_64" "${arguments[@]}" \
		-append "${kernel[*]} $(cat "$share/cmdline" 2>/dev/null)" </dev/null 2>"$share/qemu.err" &
	qemu=$!
	boot_ends=$((SECONDS + ${BOOT_TIMEOUT:-90}))
	while kill -0 $qemu 2>/dev/null; do
		if [ -s "$share/ask" ]; then
			monitor "$(cat "$share/ask")"
			rm -f "$share/ask"
		fi
		[ $SECONDS -lt $boot_ends ] || started || kill $qemu
		sleep 0.1
	done
	wait $qemu
	ended=$?
	[ ! -f "$share/status" ] || exit "$(cat "$share/status")"
	if [ -f "$share/reboot" ] && [ -f "$share/disk.tar" ]; then
		rm -f "$share/reboot"
		try=0
		continue
	fi
	echo "run-guest: try $try ended early: $(grep -v 'is not connected' "$share/qemu.err" | tail -c 300 | tr '\n' ' ')" >&2
	# An emulator that crashed says nothing of Weir; a guest that hung or died does.
	! started || [ $ended = 134 ] || break
done
exit 99
