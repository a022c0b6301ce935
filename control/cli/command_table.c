/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/cli/command.h"

const struct command_option command_globals[] = {
	{ .name = "instance",
		.value = "NAME",
		.help = "the instance to talk to, when several run on this host (default: default)" },
	{ .name = "socket",
		.value = "PATH",
		.help = "the daemon's control socket, where it is not that of the instance" },
	{ .name = "json", .help = "print one JSON document instead of text for people" },
	{ .name = "watch",
		.value = "SECONDS",
		.help = "print again and again, with so many seconds between (lists and status)" },
	{ .name = "help", .help = "explain the command instead of running it" },
	{ .name = "version", .help = "print the version" },
	{ 0 },
};

#define SETUP_ROOT                                                                             \
	{                                                                                      \
		.name = "root", .value = "DIR",                                                \
		.help = "read and write the files below DIR, such as an image that is mounted" \
	}

static const struct command_option setup_apply_options[] = {
	{ .name = "yes", .help = "do not ask" },
	SETUP_ROOT,
	{ 0 },
};

static const struct command_option setup_undo_options[] = {
	SETUP_ROOT,
	{ 0 },
};

static const struct command_option apply_options[] = {
	{ .name = "confirm",
		.value = "TIME",
		.help = "go back by itself unless \"config confirm\" follows in this time, such as "
			"60s" },
	{ 0 },
};

static const struct command_option events_options[] = {
	{ .name = "follow", .help = "go on with new ones as they come" },
	{ .name = "since", .value = "N", .help = "only those after number N" },
	{ 0 },
};

static const struct command_option core_move_options[] = {
	{ .name = "all", .help = "all buckets that the service has on FROM" },
	{ 0 },
};

static const struct command_option flow_list_options[] = {
	{ .name = "limit", .value = "N", .help = "at most N flows, 1 to 65536 (default 100)" },
	{ 0 },
};

static const struct command_option top_options[] = {
	{ .name = "interval",
		.value = "SECONDS",
		.help = "time between two answers, 0.2 to 60 (default 1)" },
	{ .name = "page", .value = "PAGE", .help = "begin with services, backends or cores" },
	{ .name = "no-color", .help = "no colours; so does NO_COLOR in the environment" },
	{ 0 },
};

#define TRACE_OPTIONS                                                                           \
	{ .name = "port", .value = "PORT", .help = "packets that come or leave by this port" }, \
		{ .name = "match",                                                              \
			.value = "EXPR",                                                        \
			.help = "only those, such as 'host 10.1.0.2 and tcp port 80'" },        \
		{ .name = "sample",                                                             \
			.value = "1/N",                                                         \
			.help = "one packet in N, chosen at random (default 1/1)" },            \
	{                                                                                       \
		.name = "for", .value = "TIME", .help = "end after a time such as 10s"          \
	}

static const struct command_option trace_options[] = {
	{ .name = "count", .value = "N", .help = "end after N packets (default 10)" },
	TRACE_OPTIONS,
	{ 0 },
};

static const struct command_option capture_options[] = {
	{ .name = "write", .value = "FILE", .help = "the file to write", .required = true },
	{ .name = "count", .value = "N", .help = "end after N packets" },
	{ .name = "snaplen", .value = "N", .help = "bytes to keep of a frame (default 1600)" },
	TRACE_OPTIONS,
	{ 0 },
};

#define POLICY_SET                                                                              \
	{                                                                                       \
		.name = "set", .value = "NAME=VALUE", .help = "set a WEIR_PARAM of the policy", \
		.repeats = true                                                                 \
	}
#define POLICY_UNVERIFIED                                                               \
	{                                                                               \
		.name = "unverified",                                                   \
		.help = "do not ask the kernel's verifier: run it in the interpreter, " \
			"which checks every access"                                     \
	}
#define POLICY_VERBOSE                                                                     \
	{                                                                                  \
		.name = "verbose", .help = "on a refusal print all that the verifier says" \
	}

static const struct command_option policy_check_options[] = {
	POLICY_SET,
	{ .name = "budget",
		.value = "CYCLES",
		.help = "refuse it when it takes more cycles a packet (default 2000)" },
	POLICY_UNVERIFIED,
	POLICY_VERBOSE,
	{ 0 },
};

static const struct command_option policy_run_options[] = {
	{ .name = "pcap", .value = "FILE", .help = "packets to judge", .required = true },
	POLICY_SET,
	POLICY_UNVERIFIED,
	POLICY_VERBOSE,
	{ 0 },
};

static const struct command_option policy_load_options[] = {
	{ .name = "observe", .help = "count its verdicts, and carry out none" },
	POLICY_SET,
	{ .name = "on-error",
		.value = "ACTION",
		.help = "pass (default) or drop packets for which it comes to no verdict" },
	{ .name = "budget",
		.value = "CYCLES",
		.help = "refuse or detach it when it takes more cycles a packet (default 2000)" },
	{ .name = "append", .help = "run it behind the policies that are there" },
	{ .name = "offload",
		.value = "WHERE",
		.help = "auto (default): in the kernel too, where it can; or never" },
	{ 0 },
};

#define POLICY_OF                                                                           \
	{                                                                                   \
		.name = "policy", .value = "POLICY",                                        \
		.help = "the policy, by name or position (default: the first that has MAP)" \
	}

static const struct command_option policy_map_options[] = {
	POLICY_OF,
	{ 0 },
};

static const struct command_option policy_map_dump_options[] = {
	POLICY_OF,
	{ .name = "limit", .value = "N", .help = "at most N entries (default: all)" },
	{ 0 },
};

static const struct command_option policy_map_load_options[] = {
	POLICY_OF,
	{ .name = "value", .value = "VALUE", .help = "for lines without one (default 1)" },
	{ .name = "replace", .help = "delete what is not in the file" },
	{ 0 },
};

static const struct command_option replay_options[] = {
	{ .name = "in",
		.value = "PORT=FILE",
		.help = "packets that the port receives, a pcap file",
		.required = true,
		.repeats = true },
	{ .name = "out",
		.value = "PORT=FILE",
		.help = "write what the port would transmit to this pcap file",
		.repeats = true },
	{ .name = "seed", .value = "N", .help = "seed of all hashes (default 0)" },
	{ .name = "trace",
		.value = "SERVICE",
		.help = "show the way of packets of this service, as \"trace\" does" },
	{ .name = "match", .value = "EXPR", .help = "with --trace: only those" },
	{ .name = "count", .value = "N", .help = "with --trace: N packets (default 10)" },
	{ 0 },
};

static const struct command_option explain_options[] = {
	{ .name = "last", .value = "N", .help = "the last N decisions, 1 to 256 (default 20)" },
	{ 0 },
};

static const struct command_option adapt_record_options[] = {
	{ .name = "out", .value = "FILE", .help = "the file to write", .required = true },
	{ .name = "for", .value = "TIME", .help = "end after a time (default 60s)" },
	{ 0 },
};

static const struct command_option adapt_replay_options[] = {
	{ .name = "set",
		.value = "NAME=VALUE",
		.help = "another constant, such as weights.up=1.3; see \"adapt constants\"",
		.repeats = true },
	{ 0 },
};

const struct command command_table[] = {
	{ "status", "", "show processes, ports, cores, warnings",
		"The first thing to look at. Warnings say what is not as good as it could be, and "
		"what to do about it.",
		command_status, COMMAND_F_WATCH, NULL },
	{ "doctor", "[FILE]", "examine the machine, and say how to mend it",
		"Looks at what Weir lives from: the daemon and its socket, kernel, clock, CPUs, "
		"memory and hugepages, and for each port device, offloads, NUMA node and interrupts. "
		"It takes the running configuration, or FILE, and works without a daemon and without "
		"root as far as things can be read. Each finding is ok, a note, a warning (costs "
		"speed, latency or safety) or a problem (keeps Weir from working); behind -> stands "
		"how to mend it. The exit status is 1 only when there are problems.",
		command_doctor, 0, NULL },
	{ "setup apply", "[FILE]", "give the machine what Weir lacks on it",
		"Hugepages on the nodes of the packet CPUs, vfio-pci for the NICs of PCI ports, both "
		"now and at each boot, and packet CPUs kept from other programs from the next boot on "
		"(GRUB). It takes the running configuration, or FILE. The plan is shown with its "
		"reasons, and carried out when it is agreed to, or with --yes. A NIC that Weir gets is "
		"lost to the kernel: not over the SSH session that comes by it.",
		command_setup_apply, 0, setup_apply_options },
	{ "setup undo", "", "take back what setup apply did",
		"From the record in /var/lib/weir/setup.json: files get what they held, NICs go back to "
		"the kernel's drivers. Stop Weir first: the kernel waits until its NICs are free.",
		command_setup_undo, COMMAND_F_NO_DAEMON, setup_undo_options },
	{ "config check", "FILE", "check a configuration file, without a daemon",
		"Prints every error of the file in one run, one line each: "
		"FILE:LINE:COLUMN: key: what is wrong, what is expected. FILE may be - for standard "
		"input. The policies that it names are read and judged as \"policy check\" does; the "
		"kernel's verifier is asked as root, and without that a line says what is not "
		"verified.",
		command_config_check, COMMAND_F_NO_DAEMON, NULL },
	{ "config diff", "FILE", "show what applying a file would change",
		"Lines begin with + (new), - (gone) or ~ (changed). Nothing is changed.",
		command_config_diff, 0, NULL },
	{ "config apply", "FILE", "apply a file, whole or not at all",
		"Prints the difference and the new generation. The file replaces the running "
		"configuration in one step; when it is refused, nothing has changed. Flows of "
		"services and backends that stay are not disturbed. \"weirctl apply FILE\" is the "
		"same.",
		command_config_apply, 0, apply_options },
	{ "config show", "", "print the running configuration as YAML",
		"The text that was applied last, as it was written; \"config apply\" takes it back.",
		command_config_show, 0, NULL },
	{ "config confirm", "", "keep what was applied with --confirm", NULL,
		command_config_confirm, 0, NULL },
	{ "config undo", "[NUMBER]", "go back to the configuration before this one",
		"With NUMBER to that one of \"config history\". Undo after undo goes further back. While "
		"a configuration waits for \"config confirm\", it goes back to the one before at once. "
		"\"weirctl rollback\" is the same.",
		command_config_undo, 0, NULL },
	{ "config history", "", "list the last 20: when, how, by whom",
		"Newest first. OF is the one that an undo or a rollback went back to, CHANGES how many "
		"lines its difference had. All of it is kept over restarts of weir-controld.",
		command_config_history, 0, NULL },
	{ "service list", "", "list services: traffic, flows, drops, times",
		"The times are percentiles of how long packets were in Weir, from receive to "
		"transmit.",
		command_service_list, COMMAND_F_WATCH, NULL },
	{ "service show", "SERVICE", "show a service: rates, limits, backends", NULL,
		command_service_show, COMMAND_F_WATCH, NULL },
	{ "backend list", "[SERVICE]", "list backends: health, weight, flows, times",
		"WEIGHT is as configured; IN FORCE is 0 while the backend takes no new flows. CONNECT "
		"is the time from SYN to SYN-ACK, FIRST BYTE that from the request to the first byte "
		"of the response; both are measured in nat mode.",
		command_backend_list, COMMAND_F_WATCH, NULL },
	{ "backend drain", "SERVICE ADDRESS:PORT", "give it no new flows; known flows stay",
		"Stays in force until \"backend enable\", also when the configuration is applied "
		"again.",
		command_backend_drain, 0, NULL },
	{ "backend enable", "SERVICE ADDRESS:PORT", "end the drain of a backend", NULL,
		command_backend_enable, 0, NULL },
	{ "flow list", "SERVICE", "list flows of a service and where they go", NULL,
		command_flow_list, COMMAND_F_WATCH, flow_list_options },
	{ "flow find", "PROTOCOL CLIENT:PORT SERVICE:PORT",
		"tell which backend a flow has, or would get",
		"PROTOCOL is tcp or udp; an IPv6 address stands in brackets: [2001:db8::1]:80.",
		command_flow_find, 0, NULL },
	{ "limit show", "SERVICE", "show limits, configured and in force",
		"A dash stands for a limit that is not set.", command_limit_show, COMMAND_F_WATCH,
		NULL },
	{ "limit set", "SERVICE KEY VALUE", "change a limit until the next apply",
		"KEY is packets, bits, connections or burst, or per-source.packets and so on; VALUE is "
		"written as in a configuration file, or none to take a limit away. In force at once, "
		"or refused and nothing has changed. The configuration's text stays as it is: "
		"\"limit show\" and \"status\" tell both values, and the next \"config apply\" takes "
		"back what was set, which \"config diff\" shows before. It outlives a restart of "
		"weir-controld or of the data plane, but not of both.",
		command_limit_set, 0, NULL },
	{ "port list", "", "list ports: device, link, queues, counters", NULL, command_port_list,
		COMMAND_F_WATCH, NULL },
	{ "port show", "PORT", "show one port in full", NULL, command_port_show, COMMAND_F_WATCH,
		NULL },
	{ "core list", "", "list packet cores: load, cycles, gaps",
		"DISTANCE is how far the core is from each port's NUMA node; 10 is near. BUSY is the "
		"share of time spent on packets. WOKEN LATE is how much longer than asked for the "
		"sleeps of an idle core took. LONGEST GAP, of the last minute, is how long the core "
		"was away: \"core show\" says when, and whose delay it was.",
		command_core_list, COMMAND_F_WATCH, NULL },
	{ "core show", "CPU", "show one packet core, and when it was away",
		"A gap is a round that began more than 100 us later than it should have. DURING says "
		"what the core was at: asleep (it was woken late) and polling (it had found no "
		"packets) are the machine's delay: its scheduler, an interrupt, the firmware. With "
		"packets, the round may have taken so long by itself, as with a slow policy: PACKETS "
		"is how many it had.",
		command_core_show, COMMAND_F_WATCH, NULL },
	{ "core move", "SERVICE [BUCKETS] FROM TO", "move buckets of a service to another core",
		"A service's flows lie in 256 buckets, each on one of its cores. BUCKETS are numbers "
		"and ranges such as 0-127,200; FROM and TO are CPUs as \"core list\" shows them. TO "
		"may be any CPU that works for services. No packet is lost and none overtakes another "
		"of its flow; \"events\" tells how long it took. \"service show\" tells how many buckets "
		"are where; it lasts until the data plane or the service is started again.",
		command_core_move, 0, core_move_options },
	{ "policy check", "OBJECT", "verify a policy and try it out",
		"Loads it nowhere. Reads the object file, has the kernel's verifier judge it (as root, or with CAP_BPF "
		"and CAP_NET_ADMIN), compiles it and runs it on made-up packets. A refusal "
		"names the line of the policy's source and, where it is known, how to mend it. "
		"Without those rights all checks but the verifier's are made.",
		command_policy_check, COMMAND_F_NO_DAEMON, policy_check_options },
	{ "policy run", "OBJECT", "judge the packets of a capture",
		"Time is that of the packets. Nothing is loaded anywhere. Without the rights to ask "
		"the kernel's verifier the policy runs in an interpreter that checks every "
		"access, and what it does that it must not is shown. A verified policy runs as the machine code "
		"that the data plane would run, and cycles are of that; those in the interpreter, "
		"some dozen times as many, are good for comparing policies.",
		command_policy_run, COMMAND_F_NO_DAEMON, policy_run_options },
	{ "policy list", "", "list policies, and what they did",
		"CYCLES are those a packet, lately. The service - stands for packets that are no "
		"service's.",
		command_policy_list, COMMAND_F_WATCH, NULL },
	{ "policy load", "SERVICE OBJECT", "load a policy into a running service",
		"Takes the place of the policies that the service has, or with --append stands behind "
		"them. It is judged as \"policy check\" does; when it is refused, what runs goes on. "
		"What is loaded begins anew, with empty maps; no packet is lost, and none is judged by a "
		"half-changed policy. In force until \"policy unload\" or the next \"config apply\"; it "
		"outlives a restart of weir-controld or of the data plane, but not of both. SERVICE may "
		"be - for packets that are no service's.",
		command_policy_load, 0, policy_load_options },
	{ "policy show", "SERVICE", "show policies: verdicts, cycles, maps",
		"Drops are counted by the reason numbers that the policy gives them. A policy that is "
		"detached took more cycles than it may, and does not run: \"policy load\" starts it "
		"again.",
		command_policy_show, COMMAND_F_WATCH, NULL },
	{ "policy unload", "SERVICE [POLICY]", "take a service's policies away, or one",
		"POLICY is its name or its position. Until the next \"config apply\".",
		command_policy_unload, 0, NULL },
	{ "policy map get", "SERVICE MAP KEY", "read an entry of a policy's map",
		"Numbers are decimal or 0x; keys of struct weir_address are addresses, those of struct "
		"weir_prefix prefixes such as 192.0.2.0/24; long ones may be a text; all may be given "
		"as 0x and two hexadecimal digits for each byte. Maps with a value for each worker "
		"show all.",
		command_policy_map_get, 0, policy_map_options },
	{ "policy map set", "SERVICE MAP KEY VALUE", "write an entry of a policy's map",
		"KEY and VALUE as \"policy map get\" shows them. In force at once.",
		command_policy_map_set, 0, policy_map_options },
	{ "policy map delete", "SERVICE MAP KEY", "delete an entry of a policy's map", NULL,
		command_policy_map_delete, 0, policy_map_options },
	{ "policy map dump", "SERVICE MAP", "print a policy's map",
		"Workers go on meanwhile: each entry is whole, all of them together are not one moment.",
		command_policy_map_dump, 0, policy_map_dump_options },
	{ "policy map load", "SERVICE MAP FILE", "fill a policy's map from a file",
		"One entry a line: a key, and behind white space its value; # begins a comment. A line "
		"without a value gets that of --value. What is there already gets the new value; with "
		"--replace what is not in the file goes, after all that is in it has come: the map never "
		"lacks what both the old and the new list cover. Only when it has no room for both at "
		"once old entries go first. FILE may be - for standard input. Nothing is changed when a line "
		"of the file cannot be read.",
		command_policy_map_load, 0, policy_map_load_options },
	{ "explain", "SERVICE", "explain what was decided, and why",
		"Newest first: what was changed, from what to what, and why. With --json each decision "
		"comes with the figures that it was made from. The daemon keeps the last 256 of each "
		"service. What became of the service's policies stands among them.",
		command_explain, COMMAND_F_WATCH, explain_options },
	{ "adapt status", "[SERVICE]", "show what adaptation may do and does",
		"The objective and the p99 of the last second, the mode of each controller, and what "
		"they do now.",
		command_adapt_status, COMMAND_F_WATCH, NULL },
	{ "adapt set", "SERVICE CONTROLLER MODE", "switch a controller until the next apply",
		"CONTROLLER is weights, shed, sources, forecast or cores; MODE is on, observe (decide and "
		"explain, change nothing) or off. What it has in force ends at once, but for cores, "
		"which stay as they are. A restart of weir-controld does not undo it.",
		command_adapt_set, 0, NULL },
	{ "adapt pause", "[SERVICE]", "go back to what is configured, observe only",
		"Until \"adapt resume\", of one service or of all, also over a restart of weir-controld.",
		command_adapt_pause, 0, NULL },
	{ "adapt resume", "[SERVICE]", "end a pause",
		"Of one service; without SERVICE that of all, and with it those of single services.",
		command_adapt_resume, 0, NULL },
	{ "adapt record", "SERVICE", "write the signals of a service to a file",
		"What the controllers see, ten times a second, as lines of JSON; at most 256 MiB. The "
		"file is complete at any time, so that Ctrl-C ends it well.",
		command_adapt_record, 0, adapt_record_options },
	{ "adapt replay", "RECORDING", "run the controllers on a recording",
		"Shows what they decide on what was recorded, also with other constants. The recording "
		"does not react: behind the first decision that differs from what was done then, it "
		"tells what would have been decided, not what would have come of it.",
		command_adapt_replay, COMMAND_F_NO_DAEMON, adapt_replay_options },
	{ "adapt constants", "", "list the constants of the controllers",
		"Gains are stated for a tick of 100 ms.", command_adapt_constants,
		COMMAND_F_NO_DAEMON, NULL },
	{ "trace", "[SERVICE]", "follow single packets through the stages",
		"Says of each packet what every stage made of it, and why: what came in, the flow, the "
		"backend and how it was chosen, the translation, the next hop, and where it ended. "
		"Takes packets of SERVICE, or of a port, or of both. EXPR is libpcap's language, see "
		"pcap-filter(7), tried on each frame as it came in and as it left. Ends after N "
		"packets or with Ctrl-C; never delays or drops a packet.",
		command_trace, 0, trace_options },
	{ "capture", "[SERVICE]", "write frames of packets to a pcapng file",
		"As \"trace\", but keeps the frames, received and transmitted, with times, ports, "
		"directions, and what became of the packet as a comment. Goes on until N packets, the "
		"time or Ctrl-C. FILE may be - for standard output.",
		command_capture, 0, capture_options },
	{ "events", "", "list what changed and why",
		"Health, drains, limits, weights, cores, policies, ports, next hops, the data plane, "
		"and who changed the configuration. The daemon keeps the last 4096; who reads too "
		"slowly is told how many it lost. With --json a list, with --follow --json one "
		"document on each line.",
		command_events, 0, events_options },
	{ "top", "", "watch services, backends and cores live",
		"Pages for services, backends and cores, and histograms of what is selected; the keys "
		"stand in the last line, and ? explains all. Rates are of the time between two "
		"answers, percentiles of the last ten seconds. It waits for a daemon that goes away, "
		"and goes on when it is back.",
		command_top, COMMAND_F_NO_JSON, top_options },
	{ "replay", "CONFIG", "run capture files through the data plane",
		"Needs no root, no daemon and no network card. The packets of the input files go "
		"through the real stages and tables; time is that of the packets, so limits and "
		"timeouts act as they would have. Neighbours come from the configuration's "
		"neighbours, backends count as up. The same input and seed give the same bytes. "
		"Prints what was received, transmitted, passed to the kernel and dropped, and why.",
		command_replay, COMMAND_F_NO_DAEMON, replay_options },
	{ "help", "[COMMAND...]", "explain weirctl or one of its commands", NULL, command_help,
		COMMAND_F_NO_DAEMON, NULL },
};

const size_t command_count = sizeof(command_table) / sizeof(command_table[0]);
