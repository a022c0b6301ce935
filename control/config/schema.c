/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/config/schema_row.h"
#include "dataplane/api/messages.h"

static const struct schema_choice idle_choices[] = {
	{ .name = "sleep", .value = MODEL_IDLE_SLEEP, .help = "short sleeps; for shared machines" },
	{ .name = "spin",
		.value = MODEL_IDLE_SPIN,
		.help = "never sleep; lowest latency, full CPU" },
	{ .name = "interrupt",
		.value = MODEL_IDLE_INTERRUPT,
		.help = "wait for devices' interrupts; sleep where there are none" },
	{ 0 },
};

static const struct schema_choice early_drops_choices[] = {
	{ .name = "kernel",
		.value = MODEL_EARLY_DROPS_KERNEL,
		.help = "in the XDP programs of kernel interfaces, before they cost a copy" },
	{ .name = "weir", .value = MODEL_EARLY_DROPS_WEIR, .help = "in the data plane alone" },
	{ 0 },
};

static const struct schema_choice hugepages_choices[] = {
	{ .name = "auto", .value = MODEL_HUGEPAGES_AUTO, .help = "use them when there are enough" },
	{ .name = "required", .value = MODEL_HUGEPAGES_REQUIRED, .help = "do not start without" },
	{ .name = "none", .value = MODEL_HUGEPAGES_NONE, .help = "ordinary pages" },
	{ 0 },
};

static const struct schema_choice protocol_choices[] = {
	{ .name = "tcp", .value = MODEL_TCP },
	{ .name = "udp", .value = MODEL_UDP },
	{ 0 },
};

static const struct schema_choice mode_choices[] = {
	{ .name = "nat",
		.value = MODEL_NAT,
		.help = "translate both addresses; replies come back through Weir" },
	{ .name = "dsr",
		.value = MODEL_DSR,
		.help = "rewrite only the MAC address; backends answer clients themselves" },
	{ .name = "ipip",
		.not_yet = true,
		.help = "Packets inside IP packets to distant backends." },
	{ .name = "gue",
		.not_yet = true,
		.help = "The same inside UDP (Generic UDP Encapsulation)." },
	{ 0 },
};

static const struct schema_choice health_choices[] = {
	{ .name = "http", .value = MODEL_HEALTH_HTTP, .help = "GET of `path`; 2xx or 3xx is well" },
	{ .name = "tcp", .value = MODEL_HEALTH_TCP, .help = "a connection is accepted" },
	{ .name = "none", .value = MODEL_HEALTH_NONE, .help = "no checks; backends count as up" },
	{ 0 },
};

static const struct schema_choice affinity_choices[] = {
	{ .name = "none", .value = MODEL_AFFINITY_NONE, .help = "each flow is placed by itself" },
	{ .name = "source",
		.value = MODEL_AFFINITY_SOURCE,
		.help = "all flows of a client's address go to one backend" },
	{ 0 },
};

static const struct schema_choice proxy_choices[] = {
	{ .name = "none", .value = MODEL_PROXY_NONE },
	{ .name = "v2", .value = MODEL_PROXY_V2, .help = "the binary header, version 2" },
	{ 0 },
};

static const struct schema_choice no_backend_choices[] = {
	{ .name = "refuse",
		.value = MODEL_NO_BACKEND_REFUSE,
		.help = "TCP gets a reset, UDP an ICMP error: port unreachable" },
	{ .name = "drop", .value = MODEL_NO_BACKEND_DROP, .help = "silence; clients try again" },
	{ 0 },
};

static bool early_drops_is_set(const void *object)
{
	return ((const struct model_dataplane *)object)->early_drops != MODEL_EARLY_DROPS_KERNEL;
}

static bool no_backend_is_set(const void *object)
{
	return ((const struct model_service *)object)->no_backend != MODEL_NO_BACKEND_REFUSE;
}

static bool proxy_is_set(const void *object)
{
	return ((const struct model_service *)object)->proxy_protocol != MODEL_PROXY_NONE;
}

static bool affinity_is_set(const void *object)
{
	return ((const struct model_affinity *)object)->type != MODEL_AFFINITY_NONE;
}

static bool health_is_checked(const void *object)
{
	return ((const struct model_health *)object)->type != MODEL_HEALTH_NONE;
}

static bool health_is_http(const void *object)
{
	return ((const struct model_health *)object)->type == MODEL_HEALTH_HTTP;
}

static const struct schema_key dataplane_keys[] = {
	{ .name = "cores",
		.type = SCHEMA_CPU_LIST,
		.offset = offsetof(struct model_dataplane, cores),
		.count_offset = offsetof(struct model_dataplane, core_count),
		.preset_help = "isolated CPUs, else all but CPU 0, else CPU 0",
		.min = 1,
		.max = WEIR_MAX_CORES,
		.example = "[1, 2-3]",
		.help = "CPUs for packet work: numbers and ranges of them." },
	{ .name = "idle",
		.type = SCHEMA_CHOICE,
		FIELD(model_dataplane, idle),
		.preset = "sleep",
		.choices = idle_choices,
		.help = "What a worker without packets does." },
	{ .name = "early-drops",
		.type = SCHEMA_CHOICE,
		FIELD(model_dataplane, early_drops),
		.preset = "kernel",
		.choices = early_drops_choices,
		.applies = early_drops_is_set,
		.help = "Where packets go that are dropped unparsed, as a core is overloaded." },
	{ .name = "hugepages",
		.type = SCHEMA_CHOICE,
		FIELD(model_dataplane, hugepages),
		.preset = "auto",
		.choices = hugepages_choices,
		.help = "Whether packet buffers and tables lie in hugepages." },
	{ .name = "memory",
		.type = SCHEMA_SIZE,
		FIELD(model_dataplane, memory_bytes),
		.preset = "512M",
		.min = UINT64_C(32) << 20,
		.max = UINT64_C(1) << 40,
		.unit = "bytes",
		.example = "512M",
		.help = "Budget for packet buffers and tables, over all NUMA nodes." },
	{ 0 },
};

static const struct schema_key port_keys[] = {
	{ .name = "name",
		.type = SCHEMA_NAME,
		.flags = SCHEMA_F_REQUIRED,
		FIELD(model_port, name),
		.help = "How the port is called elsewhere. Unique." },
	{ .name = "device",
		.type = SCHEMA_DEVICE,
		.flags = SCHEMA_F_REQUIRED,
		FIELD(model_port, device),
		.help = "The kernel's name of an interface, which is driven through AF_XDP, or the address "
			"of a PCI device, which is driven without the kernel; what is not a service's "
			"then goes through a kernel interface with the port's name." },
	{ 0 },
};

/* Its other keys say nothing without one of these. */
static bool source_is_limited(const void *object)
{
	const struct model_per_source *p = object;

	return p->packets != MODEL_UNLIMITED || p->connections != MODEL_UNLIMITED;
}

static bool source_entries_are_set(const void *object)
{
	return source_is_limited(object) && ((const struct model_per_source *)object)->entries > 0;
}

static const struct schema_key per_source_keys[] = {
	{ .name = "prefix4",
		.type = SCHEMA_NUMBER,
		FIELD(model_per_source, prefix4),
		.preset = "32",
		.min = 1,
		.max = 32,
		.applies = source_is_limited,
		.help = "So many bits of an IPv4 address make a source." },
	{ .name = "prefix6",
		.type = SCHEMA_NUMBER,
		FIELD(model_per_source, prefix6),
		.preset = "64",
		.min = 1,
		.max = 128,
		.applies = source_is_limited,
		.help = "The same of an IPv6 address; a host often has a /64 to itself." },
	{ .name = "packets",
		.type = SCHEMA_RATE,
		FIELD(model_per_source, packets),
		.preset_help = "unlimited",
		.max = UINT64_C(10000000000),
		.unit = "packets per second",
		.example = "10k",
		.help = "Packets from each source. 0 lets nothing pass." },
	{ .name = "connections",
		.type = SCHEMA_RATE,
		FIELD(model_per_source, connections),
		.preset_help = "unlimited",
		.max = UINT64_C(10000000000),
		.unit = "new flows per second",
		.example = "100",
		.help = "New flows of each source. 0 lets none begin; known flows go on." },
	{ .name = "burst",
		.type = SCHEMA_TIME,
		FIELD(model_per_source, burst_ns),
		.preset_help = "that of `limits`",
		.min = MS / 10,
		.max = 60 * S,
		.example = "100ms",
		.applies = source_is_limited,
		.help = "How much of these two may come at once, as time at full rate; at least two "
			"packets or flows. A browser opens six connections at once: for those, 100 new "
			"flows per second need a burst of 60ms." },
	{ .name = "entries",
		.type = SCHEMA_NUMBER,
		FIELD(model_per_source, entries),
		.preset_help = "65536, less where `dataplane.memory` is small",
		.min = 1024,
		.max = 16777216,
		.applies = source_entries_are_set,
		.help = "Sources that have a budget of their own, 40 bytes each, rounded up to a power "
			"of two; what comes beyond them shares 16 budgets." },
	{ 0 },
};

static const struct schema_key limits_keys[] = {
	{ .name = "packets",
		.type = SCHEMA_RATE,
		FIELD(model_limits, packets),
		.preset_help = "unlimited",
		.max = UINT64_C(10000000000),
		.unit = "packets per second",
		.example = "1M",
		.help = "Packets from clients. 0 lets nothing pass." },
	{ .name = "bits",
		.type = SCHEMA_RATE,
		FIELD(model_limits, bits),
		.preset_help = "unlimited",
		.max = UINT64_C(10000000000000),
		.unit = "bits per second",
		.example = "10G",
		.help = "Bits of frames from clients, without frame check sequence. 0 lets nothing "
			"pass." },
	{ .name = "connections",
		.type = SCHEMA_RATE,
		FIELD(model_limits, connections),
		.preset_help = "unlimited",
		.max = UINT64_C(10000000000),
		.unit = "new flows per second",
		.example = "50k",
		.help = "New flows. 0 lets none begin; known flows go on." },
	{ .name = "burst",
		.type = SCHEMA_TIME,
		FIELD(model_limits, burst_ns),
		.preset = "10ms",
		.min = MS / 10,
		.max = 60 * S,
		.example = "10ms",
		.help = "How much of the rates above may come at once, as time at full rate; at "
			"least two packets, frames or flows." },
	{ .name = "per-source",
		.type = SCHEMA_MAP,
		FIELD(model_limits, per_source),
		.children = per_source_keys,
		.preset_help = "no limits",
		.help = "Ceilings for what each client address or prefix sends; checked before the "
			"others." },
	{ 0 },
};

const struct schema_key schema_backend_keys[] = {
	{ .name = "address",
		.type = SCHEMA_ADDRESS,
		.flags = SCHEMA_F_REQUIRED,
		FIELD(model_backend, address),
		.help = "Of the service's family." },
	{ .name = "port",
		.type = SCHEMA_PORT,
		FIELD(model_backend, port),
		.preset_help = "the service's port; required in `nat` when that is `any`",
		.min = 1,
		.max = 65535,
		.help = "Where the backend listens. In `dsr` ports are not translated, so it can only "
			"be the service's port, and is left out when that is `any`." },
	{ .name = "weight",
		.type = SCHEMA_NUMBER,
		FIELD(model_backend, weight),
		.preset = "100",
		.max = WEIR_MAX_WEIGHT,
		.help = "Share of new flows, in relation to the other backends. 0 = no new flows." },
	{ 0 },
};

static const struct schema_key affinity_keys[] = {
	{ .name = "type",
		.type = SCHEMA_CHOICE,
		FIELD(model_affinity, type),
		.preset = "none",
		.choices = affinity_choices,
		.applies = affinity_is_set,
		.help = "What flows have in common that stay together." },
	{ .name = "prefix4",
		.type = SCHEMA_NUMBER,
		FIELD(model_affinity, prefix4),
		.preset = "32",
		.min = 1,
		.max = 32,
		.applies = affinity_is_set,
		.help = "So many bits of an IPv4 address make a source. Only with type `source`, as "
			"the keys below." },
	{ .name = "prefix6",
		.type = SCHEMA_NUMBER,
		FIELD(model_affinity, prefix6),
		.preset = "128",
		.min = 1,
		.max = 128,
		.applies = affinity_is_set,
		.help = "The same of an IPv6 address." },
	{ .name = "timeout",
		.type = SCHEMA_TIME,
		FIELD(model_affinity, timeout_ns),
		.preset = "1h",
		.min = S,
		.max = WEIR_AFFINITY_MAX_TIMEOUT_NS,
		.example = "1h",
		.applies = affinity_is_set,
		.help = "A source is forgotten when it opened no flow for so long." },
	{ .name = "places",
		.type = SCHEMA_NUMBER,
		FIELD(model_affinity, places),
		.preset = "65536",
		.min = WEIR_AFFINITY_MIN_PLACES,
		.max = WEIR_AFFINITY_MAX_PLACES,
		.applies = affinity_is_set,
		.help = "How many sources are remembered, 8 bytes each, rounded up to a power of two. "
			"Those beyond it are placed by hashing their address: they stay together, but "
			"some move when the pool or its weights change." },
	{ 0 },
};

static const struct schema_key health_keys[] = {
	{ .name = "type",
		.type = SCHEMA_CHOICE,
		FIELD(model_health, type),
		.preset_help = "`tcp` for tcp services whose backends have a port, else `none`",
		.choices = health_choices,
		.help = "What is asked of a backend, from the host's own network stack, at the "
			"backend's address and port." },
	{ .name = "path",
		.type = SCHEMA_URL_PATH,
		FIELD(model_health, path),
		.preset = "/",
		.applies = health_is_http,
		.help = "Only with type `http`." },
	{ .name = "interval",
		.type = SCHEMA_TIME,
		FIELD(model_health, interval_ns),
		.preset = "1s",
		.min = 10 * MS,
		.max = 3600 * S,
		.example = "1s",
		.applies = health_is_checked,
		.help = "Time from one check to the next." },
	{ .name = "timeout",
		.type = SCHEMA_TIME,
		FIELD(model_health, timeout_ns),
		.preset = "200ms",
		.preset_help = "half the interval when that is less",
		.min = MS,
		.max = 3600 * S,
		.example = "200ms",
		.applies = health_is_checked,
		.help = "A check without an answer for so long has failed. Less than the interval." },
	{ .name = "rise",
		.type = SCHEMA_NUMBER,
		FIELD(model_health, rise),
		.preset = "2",
		.min = 1,
		.max = 100,
		.applies = health_is_checked,
		.help = "So many good checks in a row bring a backend up that was down." },
	{ .name = "fall",
		.type = SCHEMA_NUMBER,
		FIELD(model_health, fall),
		.preset = "3",
		.min = 1,
		.max = 100,
		.applies = health_is_checked,
		.help = "So many failed checks in a row take a backend down." },
	{ .name = "slow-start",
		.type = SCHEMA_TIME,
		FIELD(model_health, slow_start_ns),
		.preset = "0s",
		.max = 3600 * S,
		.example = "10s",
		.applies = health_is_checked,
		.help = "A backend that comes back, after failed checks or a drain, begins with a tenth of "
			"its weight, and gets another tenth with each tenth of this time. Known flows "
			"stay where they are. 0s: its whole weight at once." },
	{ 0 },
};

static const struct schema_key service_keys[] = {
	{ .name = "name",
		.type = SCHEMA_NAME,
		.flags = SCHEMA_F_REQUIRED,
		FIELD(model_service, name),
		.help = "Unique among services." },
	{ .name = "address",
		.type = SCHEMA_PREFIX,
		.flags = SCHEMA_F_REQUIRED,
		FIELD(model_service, address),
		.help = "The virtual address, IPv4 or IPv6, or a prefix such as 203.0.113.0/28: then "
			"all its addresses. The longest prefix that fits a packet wins." },
	{ .name = "port",
		.type = SCHEMA_PORT_OR_ANY,
		.flags = SCHEMA_F_REQUIRED,
		FIELD(model_service, port),
		.min = 1,
		.max = 65535,
		.help = "The virtual port. `any`: all ports that no other service of the address and "
			"protocol has." },
	{ .name = "protocol",
		.type = SCHEMA_CHOICE,
		.flags = SCHEMA_F_REQUIRED,
		FIELD(model_service, protocol),
		.choices = protocol_choices,
		.help = "A service has one; for both, write two services." },
	{ .name = "mode",
		.type = SCHEMA_CHOICE,
		.flags = SCHEMA_F_REQUIRED,
		FIELD(model_service, mode),
		.choices = mode_choices,
		.help = "How packets reach the backends." },
	{ .name = "source-addresses",
		.type = SCHEMA_ADDRESS_LIST,
		.offset = offsetof(struct model_service, sources),
		.count_offset = offsetof(struct model_service, source_count),
		.preset_help = "none; required in `nat`",
		.max = 256,
		.example = "[10.0.0.1]",
		.help = "Where translated flows come from. At least one of the service's family; those of "
			"the other are not used by this service. Services may share an address; its "
			"ports are then divided among them. Not in `dsr`." },
	{ .name = "cores",
		.type = SCHEMA_NUMBER,
		.flags = SCHEMA_F_MAP_NOT_YET,
		FIELD(model_service, cores),
		.preset = "1",
		.min = 1,
		.max = WEIR_MAX_CORES,
		.help = "Worker cores of this service; it may change while the service runs. The form {min, max} is not supported yet." },
	{ .name = "objective",
		.type = SCHEMA_MAP,
		FIELD(model_service, objective),
		.children = schema_objective_keys,
		.preset_help = "none",
		.help = "What adaptation defends, see `adapt`." },
	{ .name = "adapt",
		.type = SCHEMA_MAP,
		FIELD(model_service, adapt),
		.children = schema_adapt_keys,
		.preset_help = "on where `objective` is set, else off",
		.help = "Which controllers may change what is in force, inside what is configured. "
			"Each decision is explained by `weirctl explain`." },
	{ .name = "limits",
		.type = SCHEMA_MAP,
		FIELD(model_service, limits),
		.children = limits_keys,
		.preset_help = "no limits",
		.help = "Static ceilings for what clients send. All optional." },
	{ .name = "policy",
		.type = SCHEMA_LIST,
		.flags = SCHEMA_F_ONE_OR_LIST,
		LIST_OF(model_service, policies, policy_count, model_policy),
		.children = schema_policy_keys,
		.preset_help = "none",
		.max = WEIR_MAX_POLICIES_PER_SERVICE,
		.help = "eBPF programs of yours that judge each packet from clients, in this order." },
	{ .name = "classes",
		.type = SCHEMA_LIST,
		LIST_OF(model_service, classes, class_count, model_class),
		.children = schema_class_keys,
		.preset_help = "none",
		.max = WEIR_MAX_CLASSES_PER_SERVICE,
		.help = "Rates that policies put packets under: `WEIR_LIMIT(1)` is the first of the list. "
			"They hold beside `limits`." },
	{ .name = "pools",
		.type = SCHEMA_LIST,
		LIST_OF(model_service, pools, pool_count, model_pool),
		.children = schema_pool_keys,
		.preset_help = "none",
		.max = WEIR_MAX_POOLS_PER_SERVICE,
		.help = "Backends that get only those flows that a policy sends there: `WEIR_ROUTE(1)` "
			"is the first of the list. While none of a pool can serve, its flows go to "
			"`backends`." },
	{ .name = "backends",
		.type = SCHEMA_LIST,
		LIST_OF(model_service, backends, backend_count, model_backend),
		.children = schema_backend_keys,
		.preset_help = "none",
		.max = WEIR_MAX_BACKENDS_PER_SERVICE,
		.help = "Who serves. May be empty: then new flows go to `fallback`, or are dropped as "
			"`no_backend`." },
	{ .name = "fallback",
		.type = SCHEMA_LIST,
		LIST_OF(model_service, fallback, fallback_count, model_backend),
		.children = schema_backend_keys,
		.preset_help = "none",
		.max = WEIR_MAX_BACKENDS_PER_SERVICE,
		.help = "Backends that get new flows only while none of `backends` takes any: all "
			"down, drained or of weight 0. Checked as those are. Flows that begin on "
			"one stay on it to their end." },
	{ .name = "affinity",
		.type = SCHEMA_MAP,
		FIELD(model_service, affinity),
		.children = affinity_keys,
		.preset_help = "none",
		.help = "Whether flows of one client stay on one backend, also when weights or the "
			"pool change. A backend that takes no new flows any more (down, drained, "
			"weight 0, a fallback that has had its turn) loses its sources to others." },
	{ .name = "no-backend",
		.type = SCHEMA_CHOICE,
		FIELD(model_service, no_backend),
		.preset = "refuse",
		.choices = no_backend_choices,
		.applies = no_backend_is_set,
		.help = "What clients hear while neither `backends` nor `fallback` can serve: new flows, "
			"those whose backend is gone, and stray packets. At most 1,000 answers of a "
			"kind per second and core." },
	{ .name = "proxy-protocol",
		.type = SCHEMA_CHOICE,
		FIELD(model_service, proxy_protocol),
		.preset = "none",
		.choices = proxy_choices,
		.applies = proxy_is_set,
		.help = "Whether backends are told the client's address and port, which `nat` hides, by "
			"a PROXY protocol header in front of the client's first byte. They have to "
			"expect it (nginx: `listen ... proxy_protocol`); health checks send it too. "
			"Only in `nat` with tcp. A change holds for new flows." },
	{ .name = "health",
		.type = SCHEMA_MAP,
		FIELD(model_service, health),
		.children = health_keys,
		.preset_help = "all defaults",
		.help = "How backends are checked." },
	{ 0 },
};

static const struct schema_key neighbour_keys[] = {
	{ .name = "address",
		.type = SCHEMA_ADDRESS,
		.flags = SCHEMA_F_REQUIRED,
		FIELD(model_neighbour, address),
		.help = "Of a backend, or of the router towards it." },
	{ .name = "mac",
		.type = SCHEMA_MAC,
		.flags = SCHEMA_F_REQUIRED,
		FIELD(model_neighbour, mac),
		.example = "\"02:00:00:00:00:11\"",
		.help = "Its Ethernet address." },
	{ .name = "port",
		.type = SCHEMA_PORT_NAME,
		.flags = SCHEMA_F_REQUIRED,
		FIELD(model_neighbour, port),
		.help = "The name of the port behind which it is." },
	{ 0 },
};

static const struct schema_key metrics_keys[] = {
	{ .name = "listen",
		.type = SCHEMA_LISTEN,
		.flags = SCHEMA_F_REQUIRED,
		.offset = offsetof(struct model, metrics),
		.example = "\"127.0.0.1:9464\"",
		.help = "Address and port where Prometheus metrics are served over HTTP." },
	{ 0 },
};

const struct schema_key schema_root[] = {
	{ .name = "version",
		.type = SCHEMA_VERSION,
		.flags = SCHEMA_F_REQUIRED,
		.help = "Of this format. Always 1." },
	{ .name = "dataplane",
		.type = SCHEMA_MAP,
		FIELD(model, dataplane),
		.children = dataplane_keys,
		.preset_help = "all defaults",
		.help = "The packet process. A change here takes effect when it is started again." },
	{ .name = "ports",
		.type = SCHEMA_LIST,
		.flags = SCHEMA_F_REQUIRED,
		LIST_OF(model, ports, port_count, model_port),
		.children = port_keys,
		.min = 1,
		.max = WEIR_MAX_PORTS,
		.help = "Where packets come in and go out. One is enough (one-armed)." },
	{ .name = "services",
		.type = SCHEMA_LIST,
		LIST_OF(model, services, service_count, model_service),
		.children = service_keys,
		.preset_help = "none",
		.max = WEIR_MAX_SERVICES,
		.help = "A service is a virtual address, protocol and port with its backends." },
	{ .name = "neighbours",
		.type = SCHEMA_LIST,
		LIST_OF(model, neighbours, neighbour_count, model_neighbour),
		.children = neighbour_keys,
		.preset_help = "none",
		.max = WEIR_MAX_NEIGHBOURS,
		.help = "Static entries. Otherwise the kernel's routes and neighbour table are "
			"followed; replay knows only these." },
	{ .name = "policy",
		.type = SCHEMA_LIST,
		.flags = SCHEMA_F_ONE_OR_LIST,
		LIST_OF(model, policies, policy_count, model_policy),
		.children = schema_policy_keys,
		.preset_help = "none",
		.max = WEIR_MAX_POLICIES_PER_SERVICE,
		.help = "As a service's, for packets that came to Weir and are no service's: before they "
			"pass to the kernel. Only dropping and passing have a meaning." },
	{ .name = "metrics",
		.type = SCHEMA_MAP,
		.offset = 0, /* its fields are members of struct model */
		.children = metrics_keys,
		.preset_help = "no metrics are served",
		.help = "The exporter for Prometheus." },
	{ .name = "probes",
		.type = SCHEMA_MAP,
		FIELD(model, probes),
		.children = schema_probes_keys,
		.preset_help = "no probes are heard",
		.help = "Where weir-probe of backend hosts reports to, for services whose answers go past "
			"Weir; see [Probes](probes.md)." },
	{ .name = "stream",
		.type = SCHEMA_MAP,
		FIELD(model, stream),
		.children = schema_stream_keys,
		.preset_help = "no events are sent",
		.help = "Events, decisions and figures for other systems, to Apache Kafka; see "
			"[The event stream](stream.md)." },
	{ 0 },
};
