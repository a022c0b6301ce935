#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# nics: igb:0:front igb:0:front virtio-net-pci:0:back virtio-net-pci:0:back
#
# The host's own business over NICs that Weir has: an OpenSSH server and a BGP and BFD session of BIRD, while a
# service's traffic goes by the same NICs, and what happens to them when the data plane dies or a link goes.

# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
begin

HOST=$BUILD/vm-guest/host
SSH_PORT=22

config() {
	pci_head front=1 back=2
	cat <<-END
	services:
	  - name: web
	    address: 198.51.100.10
	    port: 80
	    protocol: tcp
	    mode: nat
	    source-addresses: [10.2.0.100]
	    health: {type: none}
	    backends:
	      - {address: 10.2.0.11, port: 8080}
	END
}

sshd_start() {
	mkdir -p /run/sshd "$WORLD/ssh"
	grep -q ^sshd: /etc/passwd || echo 'sshd:x:64999:65534::/run/sshd:/usr/sbin/nologin' >>/etc/passwd
	ssh-keygen -q -t ed25519 -N '' -f "$WORLD/ssh/host"
	ssh-keygen -q -t ed25519 -N '' -f "$WORLD/ssh/user"
	cat >"$WORLD/ssh/config" <<-END
	Port $SSH_PORT
	HostKey $WORLD/ssh/host
	PidFile none
	AuthorizedKeysFile $WORLD/ssh/user.pub
	StrictModes no
	PermitRootLogin yes
	UsePAM no
	LoginGraceTime 120
	END
	LD_LIBRARY_PATH=$HOST/lib/x86_64-linux-gnu:$HOST/usr/lib/x86_64-linux-gnu start_at weir \
		"$HOST/usr/sbin/sshd" -D -e -f "$WORLD/ssh/config" 2>"$WORLD/ssh/log" &
}

over_ssh() { # COMMAND...
	at client ssh -F none -i "$WORLD/ssh/user" -p $SSH_PORT -o BatchMode=yes -o StrictHostKeyChecking=no \
		-o UserKnownHostsFile=/dev/null -o LogLevel=ERROR -o ConnectTimeout=60 root@10.1.0.1 "$@"
}

bird_start() { # NAME ADDRESS PEER AS PEER-AS; what it announces is on standard input
	{
		cat <<-END
		log "$WORLD/bird-$1.log" all;
		router id $2;
		protocol device { scan time 5; }
		protocol kernel { ipv4 { import none; export where source = RTS_BGP; }; }
		protocol bfd { interface "*" { min rx interval 500 ms; min tx interval 500 ms; multiplier 6; }; }
		protocol bgp peer {
			local $2 as $4;
			neighbor $3 as $5;
			bfd on;
			connect delay time 1;
			connect retry time 2;
			error wait time 1, 2;
			hold time 30;
			ipv4 { import all; export where source ~ [ RTS_DEVICE, RTS_STATIC ]; next hop self; };
		}
		END
		cat
	} >"$WORLD/bird-$1.conf"
	start_at "$1" bird -f -c "$WORLD/bird-$1.conf" -s "$WORLD/bird-$1.ctl" >>"$WORLD/bird-$1.log" 2>&1 &
}

require topology_pci_two_armed
require nginx_start b1 10.2.0.11:8080
blob_make 3
require sshd_start
# Where the service is, the client learns by BGP.
ip -n client route del 198.51.100.0/24
config >"$WORLD/default.yaml"
require pci_start front back
bird_start weir 10.1.0.1 10.1.0.2 65010 65000 <<-'END'
	protocol direct { ipv4; interface "lo"; }
END
bird_start client 10.1.0.2 10.1.0.1 65000 65010 <<-'END'
	protocol static { ipv4; route 10.3.0.0/24 blackhole; }
END

session_is_up() {
	birdc -s "$WORLD/bird-weir.ctl" show protocols peer | grep -q Established
}

bfd_is_up() {
	birdc -s "$WORLD/bird-weir.ctl" show bfd sessions | grep -q '10\.1\.0\.2.* Up '
}

# The time of day, in seconds. BIRD works it out anew each time, so that it may be another by a millisecond.
session_since() {
	birdc -s "$WORLD/bird-weir.ctl" show protocols peer |
		awk '/^peer/ { split($5, t, ":"); printf "%.3f", t[1] * 3600 + t[2] * 60 + t[3] }'
}

route_is_there() {
	ip -n client route show 198.51.100.10 proto bird | grep -q 'via 10.1.0.1 dev eth0'
}

route_is_gone() {
	! route_is_there
}

bgp_comes_up() {
	expect_within 60 session_is_up
	expect_within 60 bfd_is_up
	expect_within 30 route_is_there
	expect_within 30 fetch --max-time 5 http://198.51.100.10/
	expect_eq "routes that the host learned" "$(ip -n weir route show proto bird | grep -c '^10.3.0.0/24 via 10.1.0.2 dev front')" 1
}

ssh_works() {
	expect_eq "who one is over SSH" "$(over_ssh id -un)" root
	over_ssh cat "$WORLD/www/blob" >"$WORLD/got"
	expect cmp "$WORLD/www/blob" "$WORLD/got"
}

# All at once over one NIC: requests, a download over SSH, pings, and the session of BIRD.
all_together() {
	local since before
	since=$(session_since)
	before=$(port_field front .passed_to_kernel)
	load_start load -c 4 -t 15 -T 20 http://198.51.100.10/
	for _ in 1 2; do
		over_ssh cat "$WORLD/www/blob" >"$WORLD/got"
		expect cmp "$WORLD/www/blob" "$WORLD/got"
	done
	expect at client ping -q -c 10 -i 0.3 -W 5 10.1.0.1
	expect at client arping -q -c 2 -w 20 -I eth0 10.1.0.1
	load_wait load
	expect_no_failures load
	expect session_is_up
	expect bfd_is_up
	expect_number "seconds by which the session is younger" "$(awk -v a="$(session_since)" -v b="$since" 'BEGIN { print a - b }')" -lt 0.5
	expect_number "packets to the kernel" $(($(port_field front .passed_to_kernel) - before)) -ge 300
	expect_eq "no packet was dropped for the kernel being full" "$(port_field front '.dropped.kernel_full // 0')" 0
}

other_dataplane() { # PID
	local now
	now=$(dataplane_pid)
	[ "$now" != null ] && [ -n "$now" ] && [ "$now" != "$1" ]
}

says_on() { # TEXT
	grep -q "$1" "$WORLD/said"
}

# A session over SSH that is open when the data plane dies goes on.
ssh_outlives_the_data_plane() {
	local pid
	mkfifo "$WORLD/typed"
	over_ssh cat <"$WORLD/typed" >"$WORLD/said" &
	local session=$!
	exec 9>"$WORLD/typed"
	echo before >&9
	expect_within 60 says_on before
	pid=$(dataplane_pid)
	kill -KILL "$pid"
	expect_within 60 other_dataplane "$pid"
	echo after >&9
	expect_within 60 says_on after
	exec 9>&-
	expect wait $session
	expect_within 60 session_is_up
	expect_within 60 fetch --max-time 5 http://198.51.100.10/
}

# A link that goes takes its BGP session along, as BFD notices; the other port does not notice.
link_goes() {
	other_port_begin back http://10.2.0.11:8080/
	machine set_link nic1 off
	expect_within 20 port_link_is front false
	expect_within 40 route_is_gone
	machine set_link nic1 on
	expect_within 20 port_link_is front true
	expect_within 60 session_is_up
	expect_within 30 route_is_there
	expect_within 30 fetch --max-time 5 http://198.51.100.10/
	other_port_end
}

# Pulled, as by the slot's button, and plugged again.
device_is_pulled() {
	other_port_begin back http://10.2.0.11:8080/
	machine device_del nic1
	expect_within 60 nic_is_gone 1
	expect port_link_is front false
	sleep 3 # the slot's power goes off a second later; what is plugged before that is not seen
	machine "device_add igb,id=nic1,bus=rp1,netdev=n1,mac=52:54:00:00:00:01"
	expect_within 60 nic_to_vfio 1
	expect_within 60 port_link_is front true
	expect_within 60 session_is_up
	expect_within 30 route_is_there
	expect_within 30 fetch --max-time 5 http://198.51.100.10/
	other_port_end
}

sums() {
	expect_within 30 sums_balance
}

scenario "BIRD has a BGP and a BFD session over the NIC, and the service is found by it" bgp_comes_up
scenario "OpenSSH works over the NIC" ssh_works
scenario "requests, SSH, pings and BGP share the NIC" all_together
scenario "an SSH session goes on when the data plane is killed" ssh_outlives_the_data_plane
scenario "a link that goes takes its session along, and the other port does not notice" link_goes
scenario "a device that is pulled comes back with its session, and the other port does not notice" device_is_pulled
scenario "packet sums balance" sums
finish
