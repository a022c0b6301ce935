#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Build the emulated server from Debian packages: build-guest.sh OUTDIR
#
# QEMU and firmware, unpacked; the kernel as an ELF file; a small initramfs of busybox and kernel modules.
# Nothing is installed on this machine, and there is no disk image: the guest's root is the machine's own,
# read-only. The packages are those of the group `vm` in scripts/packages; they come from where this machine
# has its packages from. QEMU comes from the backports suite, as Debian 12's own has no igb.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
out=${1:?usage: build-guest.sh OUTDIR}
mkdir -p "$out"
out=$(cd "$out" && pwd)
[ ! -e "$out/complete" ] || [ "$here/build-guest.sh" -nt "$out/complete" ] ||
	[ "$here/guest-initramfs.sh" -nt "$out/complete" ] || exit 0
rm -f "$out/complete"
say() { echo "vm: $*"; }

# --- packages ---------------------------------------------------------------------------------

cache=$out/apt
mkdir -p "$cache/lists/partial" "$cache/archives/partial" "$cache/kernel"
mirror=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null |
	sed -nE 's/^(URIs:|deb( \[[^]]*\])?) +(http[^ ]*\/debian)\/?( .*)?$/\3/p' | head -n 1)
[ -n "$mirror" ] || { say "no Debian mirror in the configuration of apt"; exit 1; }
for suite in bookworm bookworm-updates bookworm-backports; do
	echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main"
done >"$cache/sources.list"
options=(-o Dir::Etc::sourcelist="$cache/sources.list" -o Dir::Etc::sourceparts=- -o Dir::State::lists="$cache/lists"
	-o Dir::Cache::archives="$cache/archives" -o APT::Sandbox::User=root -o Acquire::Retries=3)
get() { apt-get -qq "${options[@]}" "$@" >/dev/null; }

say "package lists"
get update
mapfile -t packages < <(sed -n 's/^vm //p' "$here/../../scripts/packages" | grep -v -e '^linux-image' -e '^busybox' -e '^openssh' -e '^libwrap' -e '^kmod')
say "QEMU"
get install -y --no-install-recommends -d -t bookworm-backports "${packages[@]}"
rm -rf "$out/qemu"
mkdir "$out/qemu"
for file in "$cache"/archives/*.deb; do
	case $file in *libbrlapi* | *libcacard* | *libusbredir* | *qemu-utils*) continue ;; esac
	dpkg -x "$file" "$out/qemu"
done

say "kernel"
image=$(apt-cache "${options[@]}" depends linux-image-amd64 | sed -n 's/^ *Depends: \(linux-image.*\)/\1/p' | head -n 1)
(cd "$cache/kernel" && { ls "${image}_"*.deb busybox-static_*.deb >/dev/null 2>&1 || get download "$image" busybox-static; })
(cd "$cache/kernel" && { ls openssh-server_*.deb libwrap0_*.deb kmod_*.deb >/dev/null 2>&1 || get download openssh-server libwrap0 kmod; })
rm -rf "$out/kernel" "$out/busybox" "$out/host"
mkdir "$out/kernel" "$out/busybox" "$out/host"
# What the guest's host has and this machine need not.
for file in "$cache"/kernel/openssh-server_*.deb "$cache"/kernel/libwrap0_*.deb "$cache"/kernel/kmod_*.deb; do dpkg -x "$file" "$out/host"; done
dpkg -x "$cache"/kernel/busybox-static_*.deb "$out/busybox"
busybox=$out/busybox/bin/busybox
# Only what is used: unpacking all of its 400 MB takes twice as long.
wanted=()
for part in virtio vfio uio dca i2c ptp pps char/hw_random net/vmxnet3 net/ethernet/intel/igb net/ethernet/intel/e1000e; do
	wanted+=("./lib/modules/*/kernel/drivers/$part/*")
done
for part in virtio_net net_failover veth tun macvlan; do
	wanted+=("./lib/modules/*/kernel/drivers/net/$part.ko")
done
for part in net/9p net/core net/packet fs/9p fs/netfs fs/fscache fs/overlayfs virt; do
	wanted+=("./lib/modules/*/kernel/$part/*")
done
dpkg --fsys-tarfile "$cache/kernel/${image}_"*.deb | tar -x -C "$out/kernel" --wildcards \
	'./boot/vmlinuz*' './boot/config*' './lib/modules/*/modules.*' "${wanted[@]}"
version=$(basename "$out"/kernel/lib/modules/*)

# The emulated CPU would take seconds to unpack the kernel by itself.
python3 - "$out" <<'END'
import glob, lzma, struct, subprocess, sys
out = sys.argv[1]
image = open(glob.glob(out + "/kernel/boot/vmlinuz*")[0], "rb").read()
setup = image[0x1F1] or 4
offset, length = struct.unpack("<II", image[0x248:0x250])
packed = image[(setup + 1) * 512 + offset:(setup + 1) * 512 + offset + length]
if packed[:6] == b"\xfd7zXZ\0":
    kernel = lzma.LZMADecompressor().decompress(packed)
else:
    tool = "zstd" if packed[:4] == b"\x28\xb5\x2f\xfd" else "lz4"
    kernel = subprocess.run([tool, "-dc"], input=packed, stdout=-1, stderr=-3).stdout
assert kernel[:4] == b"\x7fELF"
open(out + "/vmlinux", "wb").write(kernel)
END

# --- initramfs --------------------------------------------------------------------------------

root=$out/initrd
modules=$out/kernel/lib/modules/$version
rm -rf "$root"
mkdir -p "$root/bin" "$root/lib/modules/$version"
cp "$busybox" "$root/bin/"
"$busybox" depmod -b "$out/kernel" "$version"

module_files() { # MODULE...: their files, those that they need first
	local module line
	for module in "$@"; do
		line=$(grep -E "(^|/)${module//[-_]/[-_]}\.ko:" "$modules/modules.dep" | head -n 1)
		[ -n "$line" ] || { say "no module $module"; continue; }
		echo "${line#*:}" | tr ' ' '\n' | tac
		echo "${line%%:*}"
	done | grep . | awk '!seen[$0]++'
}
boot=(virtio_pci 9pnet_virtio 9p overlay)
module_files "${boot[@]}" >"$root/boot.modules"
module_files "${boot[@]}" vfio vfio_iommu_type1 vfio-pci virtio_net vmxnet3 e1000e igb veth tun macvlan |
	while read -r file; do install -D -m644 "$modules/$file" "$root/lib/modules/$version/$file"; done
cp "$modules"/modules.builtin* "$modules"/modules.order "$root/lib/modules/$version/"
(exec -a depmod "$out/host/bin/kmod" -b "$root" "$version")
install -m 755 "$here/guest-initramfs.sh" "$root/init"
(cd "$root" && find . -print0 | sort -z | "$busybox" cpio -0 -o -H newc 2>/dev/null) >"$out/initrd.img"
touch "$out/complete"
say "guest of kernel $version is built"
