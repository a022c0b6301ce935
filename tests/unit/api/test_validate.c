/* SPDX-License-Identifier: BSD-3-Clause */

#include "tests/unit/api/config_message.h"
#include "tests/unit/tap.h"

#include <errno.h>
#include <stdlib.h>

/* Refused, and the reason names what is wrong. */
#define REFUSED(m, text)                                                                     \
	do {                                                                                 \
		char err_[256] = "";                                                         \
		CU_ASSERT_EQUAL(                                                             \
			weir_config_validate(&(m), sizeof(m), err_, sizeof(err_)), -EINVAL); \
		CU_ASSERT_PTR_NOT_NULL(strstr(err_, text));                                  \
		if (!strstr(err_, text))                                                     \
			printf("# said: '%s', expected: '%s'\n", err_, text);                \
	} while (0)

#define ACCEPTED(m)                                                                            \
	do {                                                                                   \
		char err_[256] = "";                                                           \
		CU_ASSERT_EQUAL(weir_config_validate(&(m), sizeof(m), err_, sizeof(err_)), 0); \
		if (err_[0])                                                                   \
			printf("# said: '%s'\n", err_);                                        \
	} while (0)

/* Spoil one place of a good message and expect it to be refused with this reason. */
#define SPOILT(change, text)                                     \
	do {                                                     \
		struct config_message m = config_message_good(); \
		change;                                          \
		REFUSED(m, text);                                \
	} while (0)

#define CHANGED(change)                                          \
	do {                                                     \
		struct config_message m = config_message_good(); \
		change;                                          \
		ACCEPTED(m);                                     \
	} while (0)

static void good_messages(void)
{
	const struct weir_config empty = { .digest = 7 };

	ACCEPTED(empty);
	CHANGED((void)0);
	CHANGED(m.service[0].port = 0);
	CHANGED(m.service[0].limit_packets = 0);
	CHANGED(m.backend[1].weight = 0);
	CHANGED(m.backend[0].state = WEIR_BACKEND_DOWN);
	CHANGED(m.port[0].kind = WEIR_PORT_CAPTURE; m.port[0].device[0] = 0);
	CHANGED(memset(m.port[0].name, 'x', 63));
	CHANGED(m.service[1].port = 0; m.backend[2].port = 0);
	CHANGED(m.service[0].backend_count = 0);
	CHANGED(m.service[0].prefix_length = 127);
}

static void view_points_at_the_parts(void)
{
	struct config_message m = config_message_good();
	struct weir_config_view v;

	weir_config_view(&m, &v);
	CU_ASSERT_PTR_EQUAL(v.header, &m.header);
	CU_ASSERT_PTR_EQUAL(v.ports, m.port);
	CU_ASSERT_PTR_EQUAL(v.services, m.service);
	CU_ASSERT_PTR_EQUAL(v.backends, m.backend);
	CU_ASSERT_PTR_EQUAL(v.sources, m.source);
	CU_ASSERT_PTR_EQUAL(v.neighbours, m.neighbour);
	CU_ASSERT_PTR_EQUAL(v.hop_groups, m.group);
	CU_ASSERT_PTR_EQUAL(v.policies, m.policy);
	CU_ASSERT_PTR_EQUAL(v.classes, m.class);
}

static void wrong_lengths(void)
{
	struct config_message m = config_message_good();
	char err[256] = "";

	for (size_t n = 0; n < sizeof(m); n++) {
		/* A copy of exactly n bytes, so that the sanitizer sees a read beyond it. */
		void *copy = malloc(n ? n : 1);

		CU_ASSERT_PTR_NOT_NULL_FATAL(copy);
		memcpy(copy, &m, n);
		CU_ASSERT_EQUAL(weir_config_validate(copy, n, err, sizeof(err)), -EINVAL);
		free(copy);
	}
	struct {
		struct config_message m;
		uint8_t more[8];
	} longer = { .m = m };
	REFUSED(longer, "the counts in its header make");
	CU_ASSERT_EQUAL(weir_config_validate(&m, sizeof(m) - 1, NULL, 0), -EINVAL);
}

static void counts_beyond_the_limits(void)
{
	char err[256];

#define TOO_MANY(field, value)                                                                  \
	do {                                                                                    \
		struct config_message m = config_message_good();                                \
		m.header.field = (value);                                                       \
		CU_ASSERT_EQUAL(weir_config_validate(&m, sizeof(m), err, sizeof(err)), -E2BIG); \
	} while (0)
	TOO_MANY(port_count, WEIR_MAX_PORTS + 1);
	TOO_MANY(service_count, WEIR_MAX_SERVICES + 1);
	TOO_MANY(backend_count, WEIR_MAX_BACKENDS + 1);
	TOO_MANY(source_count, UINT32_MAX);
	TOO_MANY(neighbour_count, UINT32_MAX);
	TOO_MANY(hop_group_count, WEIR_MAX_HOP_GROUPS + 1);
#undef TOO_MANY
	SPOILT(m.header.backend_count = 3, "the counts in its header make");
}

static void bad_ports(void)
{
	SPOILT(m.port[0].name[0] = 0, "port 0: bad name");
	SPOILT(memset(m.port[1].name, 'x', WEIR_NAME_SIZE), "port 1: bad name");
	SPOILT(strcpy(m.port[0].name, "../up"), "bad name");
	SPOILT(strcpy(m.port[0].name, ".."), "bad name");
	SPOILT(strcpy(m.port[0].name, "a b"), "bad name");
	SPOILT(strcpy(m.port[0].name, "a\n"), "bad name");
	SPOILT(strcpy(m.port[0].name, "a\xc3"), "bad name");
	SPOILT(m.port[0].kind = 0, "unknown kind 0");
	SPOILT(m.port[0].kind = 4, "unknown kind 4");
	SPOILT(m.port[0].device[0] = 0, "bad device");
	SPOILT(memset(m.port[0].device, 'x', WEIR_DEVICE_SIZE), "bad device");
	SPOILT(strcpy(m.port[1].name, "front"), "two ports have the name front");
	SPOILT(strcpy(m.port[1].device, "eth1"), "same device eth1");
}

static void bad_services(void)
{
	SPOILT(m.service[1].name[0] = 0, "service 1: bad name");
	SPOILT(strcpy(m.service[2].name, "web"), "two services have the name web");
	SPOILT(m.service[1].address[15] = 0; m.service[1].address[12] = 0;
		m.service[1].address[13] = 0; m.service[1].address[14] = 0, "no address");
	SPOILT(ipv4_set(m.service[1].address, 239, 1, 1, 1), "multicast");
	SPOILT(m.service[2].address[0] = 0xff, "multicast");
	SPOILT(m.service[0].protocol = 1, "protocol 1");
	SPOILT(m.service[0].mode = 0, "unknown mode");
	SPOILT(m.service[0].mode = WEIR_MODE_GUE + 1, "unknown mode");
	SPOILT(m.service[0].mode = WEIR_MODE_IPIP, "only nat has use for port blocks");
	SPOILT(m.service[0].mode = WEIR_MODE_GUE;
		m.service[0].source_count = 0, "a tunnel needs a source address");
	SPOILT(m.service[0].cores = 0, "0 cores");
	SPOILT(m.service[0].cores = WEIR_MAX_CORES + 1, "65 cores");
	SPOILT((m.service[0].cores = 3, m.service[0].cores_max = 2), "at most 2 cores");
	SPOILT(m.service[0].cores_max = WEIR_MAX_CORES + 1, "at most 65 cores");
	SPOILT(m.service[0].limit_bits = UINT64_MAX - 1, "limit of bits");
	SPOILT(m.service[0].limit_packets = UINT64_MAX / 2, "limit of packets");
	SPOILT(m.service[0].burst_ns = UINT64_MAX, "burst");
	SPOILT(m.service[0].flow_capacity = UINT32_MAX, "flow table");
	SPOILT(memcpy(&m.service[1], &m.service[0], sizeof(m.service[0]));
		m.service[1].backend_count = 0; m.service[1].source_count = 1;
		m.service[1].first_source = 2; m.service[2].source_count = 0;
		strcpy(m.service[1].name, "other"), "other family");
	SPOILT(m.service[1].protocol = 6; m.service[1].port = 80,
		"services web and dns have the same address, protocol and port");
}

static void bad_prefixes(void)
{
	SPOILT(m.service[0].prefix_length = 0, "prefix length 0");
	SPOILT(m.service[0].prefix_length = 129, "prefix length 129");
	SPOILT(m.service[0].prefix_length = 120, "beyond its prefix");
	SPOILT(m.service[2].prefix_length = 64, "beyond its prefix");
	SPOILT(memset(m.service[2].address, 0, 16);
		m.service[2].prefix_length = 8, "covers mapped IPv4");
	SPOILT(memset(m.service[2].address, 0, 16); m.service[2].address[10] = 0x80;
		m.service[2].prefix_length = 81, "covers mapped IPv4");
	CHANGED(memset(m.service[2].address + 2, 0, 14); m.service[2].prefix_length = 16);
	CHANGED(ipv4_set(m.service[0].address, 203, 0, 113, 0); m.service[0].prefix_length = 120);
}

static void bad_backends(void)
{
	SPOILT(m.service[0].backend_count = 5, "backends beyond the array");
	SPOILT(m.service[0].first_backend = UINT32_MAX, "backends beyond the array");
	SPOILT(m.service[0].backend_count = WEIR_MAX_BACKENDS_PER_SERVICE, "backends beyond");
	SPOILT(m.service[0].first_backend = 1, "another service's");
	SPOILT(m.backend[0].port = 0, "port 0");
	SPOILT(m.backend[2].port = 0, "port 0");
	SPOILT(m.backend[0].state = WEIR_BACKEND_UNUSED, "state 0");
	SPOILT(m.backend[0].state = WEIR_BACKEND_DOWN + 1, "state 4");
	SPOILT(m.backend[0].neighbour = 2, "neighbour beyond");
	SPOILT(ipv6_set(m.backend[0].address, 9), "other address family");
	SPOILT(ipv4_set(m.backend[3].address, 10, 0, 0, 9), "other address family");
	SPOILT(ipv4_set(m.backend[0].address, 0, 0, 0, 0), "no unicast");
	SPOILT(ipv4_set(m.backend[0].address, 224, 0, 0, 1), "no unicast");
	SPOILT(ipv4_set(m.backend[1].address, 10, 0, 0, 11),
		"two backends with the same address and port");
	CHANGED(ipv4_set(m.backend[1].address, 10, 0, 0, 11); m.backend[1].port = 8081);
	struct config_message m = config_message_good();
	char err[256];
	m.service[0].backend_count = WEIR_MAX_BACKENDS_PER_SERVICE + 1;
	CU_ASSERT_EQUAL(weir_config_validate(&m, sizeof(m), err, sizeof(err)), -E2BIG);
}

static void bad_sources(void)
{
	SPOILT(m.service[0].source_count = 0, "nat needs a source address");
	SPOILT(memset(m.source[2].blocks, 0, 32), "nat needs a source address");
	SPOILT(m.service[0].first_source = 3, "source addresses beyond");
	SPOILT(m.service[2].first_source = 1; m.service[2].source_count = 2, "of the other family");
	SPOILT(m.service[1].source_count = 1, "dsr has no use");
	SPOILT(m.source[0].blocks[0] = 1, "port block 0");
	SPOILT(ipv6_set(m.source[0].address, 1), "other family");
	SPOILT(ipv4_set(m.source[0].address, 0, 0, 0, 0), "not unicast");
	SPOILT(ipv4_set(m.source[1].address, 10, 0, 0, 1), "used twice");
}

/* Two tcp services and one udp service over one source address. */
static void port_blocks_are_disjoint_per_address_and_protocol(void)
{
	struct config_message m = config_message_good();

	m.service[0].source_count = 1;
	m.service[1].mode = WEIR_MODE_NAT;
	m.service[1].first_source = 1;
	m.service[1].source_count = 1;
	ipv4_set(m.source[1].address, 10, 0, 0, 1);
	ACCEPTED(m); /* tcp and udp may share blocks */
	m.service[1].protocol = 6;
	REFUSED(m, "used twice");
	memset(m.source[1].blocks, 0, 32);
	m.source[1].blocks[15] = 0x80;
	ACCEPTED(m);
	m.source[0].blocks[15] = 0xc0;
	REFUSED(m, "used twice");
}

static void bad_neighbours(void)
{
	SPOILT(m.neighbour[0].port = 2, "port 2 beyond");
	SPOILT(m.neighbour[0].resolved = 2, "resolved is 2");
	SPOILT(m.neighbour[1] = m.neighbour[0], "same address and port");
	CHANGED(memcpy(m.neighbour[1].address, m.neighbour[0].address, 16));
}

static void bad_hop_groups(void)
{
	SPOILT(m.group[0].hop_count = 1, "1 next hops, expected 2");
	SPOILT(m.group[0].hop_count = WEIR_MAX_HOPS + 1, "17 next hops");
	SPOILT(m.group[0].hop_count = 3, "next hop 2 has weight 0");
	SPOILT(m.group[0].hop_count = UINT32_MAX, "next hops, expected");
	SPOILT(m.group[0].neighbour[1] = 2, "next hop 1 is beyond");
	SPOILT(m.group[0].neighbour[1] = WEIR_NO_NEIGHBOUR, "next hop 1 is beyond");
	SPOILT(m.group[0].neighbour[1] = 1, "stands in it twice");
	SPOILT(m.group[0].weight[1] = 0, "weight 0");
	SPOILT(m.backend[0].neighbour = WEIR_HOP_GROUP | 2, "neighbour beyond");
	SPOILT(m.header.hop_group_count = 3, "counts in its header");
}

static void bad_policies(void)
{
	CHANGED(m.service[1].policy_count = 2; m.service[1].first_policy = 2);
	SPOILT(m.policy[1].id = 0, "no id");
	SPOILT(m.policy[2].id = m.policy[1].id, "twice");
	SPOILT(m.policy[2].name[0] = 0, "no name");
	SPOILT(memset(m.policy[2].name, 'x', WEIR_NAME_SIZE), "no name");
	SPOILT(m.policy[2].name[3] = '\n', "no name");
	SPOILT(m.policy[3].mode = 2, "unknown mode");
	SPOILT(m.policy[3].on_error = 2, "unknown mode");
	SPOILT(m.policy[3].offload = 2, "unknown mode");
	SPOILT(m.service[0].first_policy = 3, "beyond the array");
	SPOILT(m.service[0].first_policy = UINT32_MAX, "beyond the array");
	SPOILT(m.service[0].policy_count = 9, "9 policies");
	SPOILT(m.header.outside_policy_count = 5, "beyond the array");
	SPOILT(m.header.outside_policy_count = 9, "9 policies");
}

static void bad_classes_and_pools(void)
{
	SPOILT(strcpy(m.class[1].name, "class-0"), "two classes");
	SPOILT(m.class[1].name[0] = 0, "bad name");
	SPOILT(m.class[0].bits = UINT64_MAX - 1, "limit is over");
	SPOILT(m.class[0].burst_ns = UINT64_MAX, "burst is over");
	SPOILT(m.service[0].first_class = 1, "beyond the array");
	SPOILT(m.service[0].class_count = 65, "65 classes");
	SPOILT(m.service[0].pool_count = 65, "65 pools");
	SPOILT(m.backend[1].pool = 2, "of pool 2");
	SPOILT(m.backend[2].pool = 1, "of pool 1");
	SPOILT(m.backend[1].fallback = 1, "only the main pool");
}

#define STAGE_REFUSED(change, text)                                                             \
	do {                                                                                    \
		struct weir_policy_stage s = {                                                  \
			.id = 7, .image_bytes = 4096, .map_fd_count = 2, .map = { 3, 1 }        \
		};                                                                              \
		char err_[256] = "";                                                            \
		CU_ASSERT_EQUAL(weir_policy_stage_validate(&s, sizeof(s), err_, 256), 0);       \
		change;                                                                         \
		CU_ASSERT_EQUAL(weir_policy_stage_validate(&s, sizeof(s), err_, 256), -EINVAL); \
		CU_ASSERT_PTR_NOT_NULL(strstr(err_, text));                                     \
	} while (0)

static void policy_stages(void)
{
	STAGE_REFUSED(s.id = 0, "without an id");
	STAGE_REFUSED(s.image_bytes = 0, "of 0 bytes");
	STAGE_REFUSED(s.image_bytes = WEIR_POLICY_MAX_IMAGE + 1, "bytes");
	STAGE_REFUSED(s.flags = 2, "unknown flags");
	STAGE_REFUSED(s.map_fd_count = 33, "33 arrays");
	STAGE_REFUSED(s.map[0] = 32, "of map 32");
	STAGE_REFUSED(s.map[1] = 3, "two arrays");
	CU_ASSERT_EQUAL(weir_policy_stage_validate("", 1, NULL, 0), -EINVAL);
}

struct map_message {
	struct weir_policy_map head;
	uint8_t records[4 * 12];
};

#define MAP_REFUSED(change, text)                                                             \
	do {                                                                                  \
		struct map_message m = { .head = map_good };                                  \
		char err_[256] = "";                                                          \
		CU_ASSERT_EQUAL(weir_policy_map_validate(&m, sizeof(m), err_, 256), 0);       \
		change;                                                                       \
		CU_ASSERT_EQUAL(weir_policy_map_validate(&m, sizeof(m), err_, 256), -EINVAL); \
		CU_ASSERT_PTR_NOT_NULL(strstr(err_, text));                                   \
	} while (0)

static void policy_maps(void)
{
	const struct weir_policy_map map_good = { .service = "web",
		.map = ".bss",
		.op = WEIR_POLICY_MAP_SET,
		.key_bytes = 4,
		.value_bytes = 8,
		.count = 4 };
	struct weir_policy_map dump = { .map = "list", .op = WEIR_POLICY_MAP_DUMP, .count = 9 };

	CU_ASSERT_EQUAL(weir_policy_map_validate(&dump, sizeof(dump), NULL, 0), 0);
	CU_ASSERT_EQUAL(weir_policy_map_validate(&dump, sizeof(dump) - 1, NULL, 0), -EINVAL);
	dump.key_bytes = 4;
	CU_ASSERT_EQUAL(weir_policy_map_validate(&dump, sizeof(dump), NULL, 0), -EINVAL);
	MAP_REFUSED(m.head.service[0] = ' ', "service name");
	MAP_REFUSED(m.head.map[0] = 0, "map name");
	MAP_REFUSED(m.head.position = 8, "policy 8");
	MAP_REFUSED(m.head.op = 0, "operation 0");
	MAP_REFUSED(m.head.op = 5, "operation 5");
	MAP_REFUSED(m.head.op = WEIR_POLICY_MAP_GET, "values of 8");
	MAP_REFUSED(m.head.key_bytes = 65, "keys of 65");
	MAP_REFUSED(m.head.key_bytes = 0, "keys of 0");
	MAP_REFUSED(m.head.value_bytes = 4097, "values of 4097");
	MAP_REFUSED(m.head.count = 0, "0 records");
	MAP_REFUSED(m.head.count = 65537, "65537 records");
	MAP_REFUSED(m.head.count = 5, "counts make");
}

static void backend_updates(void)
{
	struct weir_backend_update u[2] = {
		{ .service = "web", .state = WEIR_BACKEND_UP },
		{ .service = "web", .state = WEIR_BACKEND_DOWN },
	};
	char err[256];

	CU_ASSERT_EQUAL(weir_backend_updates_validate(u, sizeof(u), err, sizeof(err)), 0);
	CU_ASSERT_EQUAL(weir_backend_updates_validate(u, 0, err, sizeof(err)), -EINVAL);
	CU_ASSERT_EQUAL(weir_backend_updates_validate(u, sizeof(u) - 1, err, sizeof(err)), -EINVAL);
	u[1].state = WEIR_BACKEND_UNUSED;
	CU_ASSERT_EQUAL(weir_backend_updates_validate(u, sizeof(u), err, sizeof(err)), -EINVAL);
	u[1].state = WEIR_BACKEND_DOWN;
	u[1].service[0] = 0;
	CU_ASSERT_EQUAL(weir_backend_updates_validate(u, sizeof(u), err, sizeof(err)), -EINVAL);
	memset(u[1].service, 'a', sizeof(u[1].service));
	CU_ASSERT_EQUAL(weir_backend_updates_validate(u, sizeof(u), err, sizeof(err)), -EINVAL);
	CU_ASSERT_EQUAL(weir_backend_updates_validate(u, sizeof(u[0]), err, sizeof(err)), 0);
}

static void neighbour_updates(void)
{
	struct weir_neighbour_update u = { .port = WEIR_MAX_PORTS - 1, .resolved = 1 };
	char err[256];

	CU_ASSERT_EQUAL(weir_neighbour_updates_validate(&u, sizeof(u), err, sizeof(err)), 0);
	CU_ASSERT_EQUAL(
		weir_neighbour_updates_validate(&u, sizeof(u) - 1, err, sizeof(err)), -EINVAL);
	u.port = WEIR_MAX_PORTS;
	CU_ASSERT_EQUAL(weir_neighbour_updates_validate(&u, sizeof(u), err, sizeof(err)), -EINVAL);
	u.port = 0;
	u.resolved = 2;
	CU_ASSERT_EQUAL(weir_neighbour_updates_validate(&u, sizeof(u), err, sizeof(err)), -EINVAL);
}

static void flow_queries(void)
{
	struct weir_flow_query q = { .service = "web", .limit = 65536 };
	char err[256];

	CU_ASSERT_EQUAL(weir_flow_query_validate(&q, sizeof(q), err, sizeof(err)), 0);
	CU_ASSERT_EQUAL(weir_flow_query_validate(&q, sizeof(q) + 4, err, sizeof(err)), -EINVAL);
	q.limit++;
	CU_ASSERT_EQUAL(weir_flow_query_validate(&q, sizeof(q), err, sizeof(err)), -EINVAL);
	q = (struct weir_flow_query){ .protocol = 17 };
	CU_ASSERT_EQUAL(weir_flow_query_validate(&q, sizeof(q), err, sizeof(err)), 0);
	q.protocol = 1;
	CU_ASSERT_EQUAL(weir_flow_query_validate(&q, sizeof(q), err, sizeof(err)), -EINVAL);
	q.protocol = 6;
	memset(q.service, 'a', sizeof(q.service));
	CU_ASSERT_EQUAL(weir_flow_query_validate(&q, sizeof(q), err, sizeof(err)), -EINVAL);
}

/* Whatever single byte is changed, the check ends, and reads nothing beyond the message. */
static void any_changed_byte_is_survived(void)
{
	unsigned int accepted = 0;

	for (size_t i = 0; i < sizeof(struct config_message); i++)
		for (unsigned int flip = 1; flip < 256; flip += 127) {
			struct config_message *m = malloc(sizeof(*m));

			CU_ASSERT_PTR_NOT_NULL_FATAL(m);
			*m = config_message_good();
			((uint8_t *)m)[i] ^= (uint8_t)flip;
			accepted += weir_config_validate(m, sizeof(*m), NULL, 0) == 0;
			free(m);
		}
	CU_ASSERT(accepted > 0);
}

struct trace_message {
	struct weir_trace_start start;
	struct weir_trace_instruction program[2];
};

static const struct trace_message trace_good = {
	.start = { .service = "web", .sample = 1, .instruction_count = 2 },
};

#define TRACE_REFUSED(change, length, text)                                                    \
	do {                                                                                   \
		struct trace_message m = trace_good;                                           \
		char err_[256] = "";                                                           \
		change;                                                                        \
		CU_ASSERT_TRUE(weir_trace_start_validate(&m, length, err_, sizeof(err_)) < 0); \
		CU_ASSERT_PTR_NOT_NULL(strstr(err_, text));                                    \
	} while (0)

static void traces(void)
{
	const struct weir_trace_read read = { .session = 1, .limit = 1 };
	struct weir_trace_read bad = read;
	char err[256] = "";
	size_t length = sizeof(trace_good);

	CU_ASSERT_EQUAL(weir_trace_start_validate(&trace_good, length, err, sizeof(err)), 0);
	TRACE_REFUSED((void)0, length - 1, "its instructions make");
	TRACE_REFUSED((void)0, length - 8, "its instructions make");
	TRACE_REFUSED((void)0, 3, "a trace begins with");
	TRACE_REFUSED(m.start.instruction_count = UINT32_MAX, length, "at most");
	TRACE_REFUSED(memset(m.start.service, 'x', WEIR_NAME_SIZE), length, "service name");
	TRACE_REFUSED(m.start.port[0] = '/', length, "port name");
	TRACE_REFUSED(m.start.service[0] = 0, length, "neither");
	TRACE_REFUSED(m.start.sample = 0, length, "sample");
	TRACE_REFUSED(m.start.snaplen = WEIR_TRACE_MAX_SNAPLEN + 1, length, "snaplen");
	CU_ASSERT_EQUAL(weir_trace_read_validate(&read, sizeof(read), err, sizeof(err)), 0);
	CU_ASSERT_EQUAL(weir_trace_read_validate(&read, 4, err, sizeof(err)), -EINVAL);
	bad.limit = 0;
	CU_ASSERT_EQUAL(weir_trace_read_validate(&bad, sizeof(bad), err, sizeof(err)), -EINVAL);
	bad.limit = WEIR_TRACE_MAX_READ + 1;
	CU_ASSERT_EQUAL(weir_trace_read_validate(&bad, sizeof(bad), err, sizeof(err)), -EINVAL);
}

struct directives_message {
	struct weir_directives header;
	struct weir_directive_backend backend[2];
	struct weir_directive_source source[2];
	struct weir_directive_class class[2];
};

static struct directives_message directives_good(void)
{
	return (struct directives_message){
		.header = {
			.service = "web",
			.stale_ns = 1000000000,
			.expires_ns = 30000000000,
			.limit_packets = 1000,
			.limit_bits = WEIR_UNLIMITED,
			.source_flows = 10,
			.flags = WEIR_DIRECTIVE_F_POLICE | WEIR_DIRECTIVE_F_SPILL,
			.backend_count = 2,
			.source_count = 2,
			.class_count = 2,
			.source_prefix = 32,
			.source_yellow = 4,
		},
		.backend = {
			{ .port = 80, .weight = 31000, .cap = 40, .cap_yellow = 20 },
			{ .port = 81, .ejected = 1, .cap = WEIR_NO_CAP, .close_idle = 1000 },
		},
		.source = { { .weight = 16 }, { .weight = 512, .boxed_ms = 10000 } },
		.class = { { .name = "north", .connections = 1 },
			{ .name = "south", .connections = WEIR_UNLIMITED } },
	};
}

#define DIRECTIVES_REFUSED(change, text)                                                      \
	do {                                                                                  \
		struct directives_message m = directives_good();                              \
		size_t length = sizeof(m);                                                    \
		char err_[256] = "";                                                          \
		change;                                                                       \
		CU_ASSERT_TRUE(weir_directives_validate(&m, length, err_, sizeof(err_)) < 0); \
		CU_ASSERT_PTR_NOT_NULL(strstr(err_, text));                                   \
		if (!strstr(err_, text))                                                      \
			printf("# said: '%s', expected: '%s'\n", err_, text);                 \
	} while (0)

static void directives(void)
{
	struct directives_message good = directives_good();
	struct weir_directives_view v;

	CU_ASSERT_EQUAL(weir_directives_validate(&good, sizeof(good), NULL, 0), 0);
	weir_directives_view(&good, &v);
	CU_ASSERT_PTR_EQUAL(v.backends, good.backend);
	CU_ASSERT_PTR_EQUAL(v.sources, good.source);
	CU_ASSERT_PTR_EQUAL(v.classes, good.class);
	DIRECTIVES_REFUSED(length--, "counts in their header make");
	DIRECTIVES_REFUSED(length = 167, "too short");
	DIRECTIVES_REFUSED(m.header.backend_count = 1, "counts in their header make");
	DIRECTIVES_REFUSED(m.header.backend_count = UINT32_MAX, "at most 4096");
	DIRECTIVES_REFUSED(m.header.source_count = UINT32_MAX, "at most 1024");
	DIRECTIVES_REFUSED(m.header.class_count = UINT32_MAX, "at most 64");
	DIRECTIVES_REFUSED(m.header.service[0] = 0, "service name");
	DIRECTIVES_REFUSED(m.header.flags = 8, "flags 0x8");
	DIRECTIVES_REFUSED(m.header.expires_ns = 1, "stale after");
	DIRECTIVES_REFUSED(m.header.stale_ns = UINT64_MAX, "stale after");
	DIRECTIVES_REFUSED(m.header.guard_ns = UINT64_MAX, "guard");
	DIRECTIVES_REFUSED(m.header.limit_bits = UINT64_MAX - 1, "limit of bits");
	DIRECTIVES_REFUSED(m.header.source_flows = UINT64_MAX - 1, "flows per source");
	DIRECTIVES_REFUSED(m.header.source_burst_ns = UINT64_MAX, "burst");
	DIRECTIVES_REFUSED(m.header.source_prefix = 0, "prefix of 0");
	DIRECTIVES_REFUSED(m.header.source_prefix = 129, "prefix of 129");
	DIRECTIVES_REFUSED(m.header.source_yellow = 1, "yellow");
	DIRECTIVES_REFUSED(m.header.cores = WEIR_MAX_CORES + 1, "65 cores");
	DIRECTIVES_REFUSED(m.backend[0].ejected = 2, "ejected is 2");
	DIRECTIVES_REFUSED(m.backend[0].weight = 131070001, "weight");
	DIRECTIVES_REFUSED(m.backend[0].cap_yellow = 41, "yellow flows");
	DIRECTIVES_REFUSED(m.backend[1].close_idle = 1001, "1001 of 1000");
	DIRECTIVES_REFUSED(m.source[0].weight = 0, "weight 0");
	DIRECTIVES_REFUSED(m.source[1].weight = 513, "weight 513");
	DIRECTIVES_REFUSED(m.source[1].boxed_ms = UINT32_MAX, "penalty box");
	DIRECTIVES_REFUSED(m.class[0].name[0] = 0, "class 1 has a bad name");
	DIRECTIVES_REFUSED(memset(m.class[1].name, 'x', WEIR_NAME_SIZE), "class 2 has a bad name");
	DIRECTIVES_REFUSED(memcpy(m.class[1].name, "north", 6), "class north twice");
	DIRECTIVES_REFUSED(m.class[0].connections = 0, "0 new flows");
	DIRECTIVES_REFUSED(m.class[1].connections = UINT64_MAX - 1, "class south: ");
}

static const struct tap_case cases[] = {
	{ "good configurations are accepted", good_messages },
	{ "the view points at the parts of a message", view_points_at_the_parts },
	{ "a message shorter or longer than its counts is refused", wrong_lengths },
	{ "counts beyond the limits are refused", counts_beyond_the_limits },
	{ "bad ports are refused", bad_ports },
	{ "bad services are refused", bad_services },
	{ "bad prefixes are refused", bad_prefixes },
	{ "bad backends are refused", bad_backends },
	{ "bad source addresses are refused", bad_sources },
	{ "port blocks are disjoint per address and protocol",
		port_blocks_are_disjoint_per_address_and_protocol },
	{ "bad neighbours are refused", bad_neighbours },
	{ "bad groups of next hops are refused", bad_hop_groups },
	{ "bad policies are refused", bad_policies },
	{ "bad classes and pools are refused", bad_classes_and_pools },
	{ "a policy's head is checked", policy_stages },
	{ "what is asked of a policy's map is checked", policy_maps },
	{ "backend updates are checked", backend_updates },
	{ "neighbour updates are checked", neighbour_updates },
	{ "flow queries are checked", flow_queries },
	{ "a change of any single byte is survived", any_changed_byte_is_survived },
	{ "a trace that asks for what cannot be is refused", traces },
	{ "directives that contradict themselves are refused", directives },
};

TAP_MAIN("validate", cases)
