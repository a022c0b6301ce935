#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# The Debian package: built, installed, run from where it is installed, upgraded, removed and purged, all in a
# copy of this system whose changes lie in memory.

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
begin

ROOT=$WORLD/root

# A copy of this machine's file system; what is changed in it is gone with the world.
copy_of_the_system() {
	mkdir -p "$WORLD/layers" "$ROOT"
	mount -t tmpfs -o mode=755 layers "$WORLD/layers"
	mkdir "$WORLD/layers/upper" "$WORLD/layers/work"
	mount -t overlay -o "lowerdir=/,upperdir=$WORLD/layers/upper,workdir=$WORLD/layers/work" \
		root "$ROOT"
	mount -t proc proc "$ROOT/proc"
	mount --rbind /dev "$ROOT/dev"
	mount --rbind /sys "$ROOT/sys"
	mkdir -p "$ROOT/run/weir"
}

inside() { # COMMAND...
	chroot "$ROOT" "$@"
}

in_weir() { # COMMAND...: in the copy, and in Weir's network namespace
	nsenter --net=/run/netns/weir -- chroot "$ROOT" "$@"
}

files_of_the_system() {
	# What dpkg itself keeps, and caches of others, may change.
	find "$ROOT" -xdev \( -path "$ROOT/proc" -o -path "$ROOT/sys" -o -path "$ROOT/dev" -o \
		-path "$ROOT/var/lib/dpkg" -o -path "$ROOT/var/cache" -o -path "$ROOT/var/log" -o \
		-path "$ROOT/run" -o -path "$ROOT/tmp" -o -path "$ROOT$TOP" -o -path "$ROOT$BUILD" \) \
		-prune -o \( -path '*/etc/*' -o -path '*/usr/*' -o -path '*/lib/systemd/*' \) -print | sort
}

package_is_built() {
	PACKAGE=$("$TOP/scripts/deb" --as-built "$BUILD" "$WORLD" 2>"$WORLD/deb.log" | tail -n 1)
	expect test -s "$PACKAGE" || tail -n 20 "$WORLD/deb.log"
	dpkg-deb --info "$PACKAGE"
	dpkg-deb --contents "$PACKAGE" | awk '{ print $1, $2, $6 }'
	local name
	for name in librte-net-af-xdp librte-mempool-ring libc6 libbpf1 libevent libyaml; do
		expect grep -q "$name" <(dpkg-deb --field "$PACKAGE" Depends)
	done
	dpkg-deb --contents "$PACKAGE" | awk '{ print $6 }' >"$WORLD/contents"
	for name in ./usr/sbin/weir-dataplane ./usr/sbin/weir-controld ./usr/bin/weirctl \
		./usr/lib/systemd/system/weir@.service ./usr/share/man/man1/weirctl.1.gz \
		./usr/share/man/man8/weir-controld.8.gz ./usr/sbin/weir-probe ./etc/weir/probe \
		./usr/lib/systemd/system/weir-probe.service ./usr/share/man/man8/weir-probe.8.gz ./usr/share/man/man5/weir.yaml.5.gz \
		./usr/share/bash-completion/completions/weirctl ./etc/weir/default.dataplane \
		./usr/share/doc/weir/copyright ./usr/share/weir/dashboards/weir.json; do
		expect grep -qxF "$name" "$WORLD/contents"
	done
	# The programs do not say where they were built.
	dpkg-deb --extract "$PACKAGE" "$WORLD/extracted"
	expect_not grep -rlF "$TOP" "$WORLD/extracted/usr/bin" "$WORLD/extracted/usr/sbin"
}

package_is_installed() {
	files_of_the_system >"$WORLD/before"
	cp "$PACKAGE" "$ROOT/tmp/weir.deb"
	expect inside dpkg -i /tmp/weir.deb
	expect_eq "state" "$(inside dpkg-query -W -f '${db:Status-Abbrev}' weir | tr -d ' ')" ii
	expect inside dpkg --verify weir
	expect inside weirctl --version
	expect inside bash -c '. /usr/share/bash-completion/completions/weirctl && complete -p weirctl'
}

package_runs() {
	config_head front=front back=back >"$ROOT/etc/weir/default.yaml"
	cat >>"$ROOT/etc/weir/default.yaml" <<-'END'
	services:
	  - name: web
	    address: 198.51.100.10
	    port: 80
	    protocol: tcp
	    mode: nat
	    source-addresses: [10.2.0.100]
	    backends:
	      - {address: 10.2.0.11, port: 8080}
	END
	local start
	# The unit's own command.
	start=$(sed -n 's/^ExecStart=//p' "$ROOT/usr/lib/systemd/system/weir@.service" | sed 's/%i/default/g; s#%S#/var/lib#g')
	echo "$start"
	# shellcheck disable=SC2086
	start_at weir chroot "$ROOT" $start >"$WORLD/installed.log" 2>&1 &
	daemon=$!
	expect_within 20 fetch http://198.51.100.10/
	expect in_weir weirctl status
	cat "$WORLD/installed.log"
}

upgrade_keeps_changes() {
	echo 'ARGUMENTS="--cores 0"' >"$ROOT/etc/weir/default.dataplane"
	expect inside dpkg -i /tmp/weir.deb
	expect grep -q '^ARGUMENTS="--cores 0"' "$ROOT/etc/weir/default.dataplane"
	# What runs is not touched by it.
	expect fetch http://198.51.100.10/
	stop_pid $daemon
	expect_not fetch http://198.51.100.10/
}

removal_leaves_nothing() {
	expect inside dpkg -r weir
	expect_not test -e "$ROOT/usr/sbin/weir-controld"
	expect test -e "$ROOT/etc/weir/default.dataplane"
	rm "$ROOT/etc/weir/default.yaml"
	expect inside dpkg -P weir
	files_of_the_system >"$WORLD/after"
	expect diff "$WORLD/before" "$WORLD/after"
	expect_eq "run directory" "$(ls -A "$ROOT/run/weir")" ""
}

require topology_two_armed
require nginx_start b1 10.2.0.11:8080
require copy_of_the_system
scenario "make deb builds a package with programs, units, manual pages and completion" package_is_built
scenario "it is installed, and what it says of itself is right" package_is_installed
scenario "a Weir started as its unit would serves" package_runs
scenario "an upgrade keeps the operator's changes and what runs" upgrade_keeps_changes
scenario "after removal and purge nothing is left" removal_leaves_nothing
finish
