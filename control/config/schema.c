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

static bool early_drops_is_set(const void *object)
{
	return ((const struct model_dataplane *)object)->early_drops != MODEL_EARLY_DROPS_KERNEL;
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
		.children = schema_service_keys,
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
