#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# weirctl doctor on a real data plane, beside it and without it.

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
begin

config() {
	config_head front=front back=back
	cat <<-'END'
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
}

require topology_two_armed
config >"$WORLD/default.yaml"

# doctor STATUS [ARGUMENT...]: in Weir's namespace; its document is in $WORLD/doctor.json.
doctor() {
	local expected=$1 status=0
	shift
	WEIR_RUN_DIR=$RUN at weir "$BUILD/weirctl" --json doctor "$@" >"$WORLD/doctor.json" || status=$?
	cat "$WORLD/doctor.json"
	[ $status = "$expected" ]
}

# finds LEVEL CHECK OBJECT TEXT: such a finding is there; OBJECT "" for the machine.
finds() {
	jq -e --arg l "$1" --arg c "$2" --arg o "$3" --arg t "$4" '[.findings[] | select(.level == $l
		and .check == $c and (.object // "") == $o and (.text | contains($t)))] | length > 0' \
		"$WORLD/doctor.json" >/dev/null
}

mend_of() { # CHECK OBJECT
	jq -r --arg c "$1" --arg o "$2" '.findings[] | select(.check == $c and .object == $o
		and .mend != null) | .mend' "$WORLD/doctor.json"
}

before_the_start() {
	expect doctor 0 "$WORLD/default.yaml"
	expect finds note daemon "" "no weir-controld listens"
	expect finds ok port front "interface front is up (driver veth"
	expect finds note hugepages "" "hugepages: none"
	expect finds ok af_xdp "" "AF_XDP sockets"
}

# What the doctor says, done to the letter, mends it.
mended_as_told() {
	ip -n weir link set back down
	expect doctor 1 "$WORLD/default.yaml"
	expect finds problem port back "interface back is down"
	at weir bash -c "$(mend_of port back)"
	expect_within 5 doctor 0 "$WORLD/default.yaml" # the kernel takes its time to see the link
	at weir sysctl -qw net.ipv4.conf.front.arp_ignore=1
	expect doctor 0 "$WORLD/default.yaml"
	expect finds warning arp_ignore front "does not answer ARP"
	at weir bash -c "$(mend_of arp_ignore front)"
	expect doctor 0 "$WORLD/default.yaml"
	expect_not finds warning arp_ignore front ""
	expect_not finds problem port back ""
}

ports_are_open() {
	doctor 0 && finds ok af_xdp front "runs the XDP program in the driver" &&
		finds ok af_xdp back "runs the XDP program in the driver"
}

beside_a_running_weir() {
	expect_within 10 ports_are_open
	expect_eq configuration "$(jq -r .configuration "$WORLD/doctor.json")" "the running configuration"
	expect finds ok daemon "" "the data plane is running"
	expect finds note offload front "completes them in software"
	expect finds ok "control socket" "" "mode 0660"
	expect finds ok "read-only socket" "" "mode 0660"
	expect finds ok "run directory" "" "$RUN/default"
	expect finds ok memlock "" "the data plane"
	expect finds ok cpus "" "packets have CPU 0 of"
}

mode_and_gone() {
	chmod 666 "$RUN/default/control.sock"
	expect doctor 0
	expect finds warning "control socket" "" "everybody"
	bash -c "$(jq -r '.findings[] | select(.check == "control socket") | .mend' "$WORLD/doctor.json")"
	expect doctor 0
	expect finds ok "control socket" "" "mode 0660"
	kill -STOP "${weir_pid[default]}"
	expect doctor 1
	expect finds problem daemon "" "does not answer"
	kill -CONT "${weir_pid[default]}"
}

# The data plane goes on without its daemon: its XDP programs are not somebody else's.
without_the_daemon() {
	kill -KILL "${weir_pid[default]}"
	expect_within 5 doctor 0 "$WORLD/default.yaml"
	expect finds note daemon "" "no weir-controld is there any more"
	expect finds ok af_xdp front "runs the XDP program"
	weir_start
}

after_the_end() {
	weir_stop
	expect doctor 0 "$WORLD/default.yaml"
	expect finds note daemon "" "no weir-controld"
	expect finds ok port front "is up"
}

nobody_needs_root() {
	chmod 755 "$WORLD" "$RUN"
	local status=0
	at weir setpriv --reuid 65534 --regid 65534 --clear-groups \
		env WEIR_RUN_DIR="$RUN" "$BUILD/weirctl" --json doctor "$WORLD/default.yaml" \
		>"$WORLD/doctor.json" || status=$?
	expect_eq "exit status" $status 0
	expect finds ok port front "interface front is up"
	expect finds ok kernel "" "new enough"
}

scenario "before the start it judges a file and the machine" before_the_start
scenario "what it says mends what it found" mended_as_told
require weir_start
scenario "beside a running Weir it judges what runs" beside_a_running_weir
scenario "a socket for everybody and a hung daemon are found" mode_and_gone
scenario "a data plane without its daemon is known for Weir's own" without_the_daemon
scenario "after the end it judges the file again" after_the_end
scenario "it needs no root" nobody_needs_root
finish
