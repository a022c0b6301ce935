/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The checks that the data plane makes of what control sends, and the framing in front of them: the bytes
 * come over a socket as they would, in pieces, and every message that the framing accepts is validated
 * by its type. What is found valid is walked through to its last reference.
 */

#include "dataplane/api/stream.h"
#include "dataplane/api/validate.h"
#include "tests/fuzz/fuzz.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void name_check(const char *name, size_t size)
{
	FUZZ_CHECK(memchr(name, '\0', size) != NULL);
}

static void service_check(const struct weir_config_view *v, const struct weir_config_service *s)
{
	name_check(s->name, sizeof(s->name));
	FUZZ_CHECK(s->name[0] != '\0');
	FUZZ_CHECK(s->prefix_length >= 1 && s->prefix_length <= 128);
	FUZZ_CHECK(s->protocol == 6 || s->protocol == 17);
	FUZZ_CHECK(s->mode == WEIR_MODE_NAT || s->mode == WEIR_MODE_DSR);
	FUZZ_CHECK(s->cores >= 1 && s->cores <= WEIR_MAX_CORES);
	FUZZ_CHECK(
		s->cores_max == 0 || (s->cores_max >= s->cores && s->cores_max <= WEIR_MAX_CORES));
	FUZZ_CHECK((uint64_t)s->first_backend + s->backend_count <= v->header->backend_count);
	FUZZ_CHECK((uint64_t)s->first_source + s->source_count <= v->header->source_count);
	FUZZ_CHECK((uint64_t)s->first_policy + s->policy_count <= v->header->policy_count);
	FUZZ_CHECK((uint64_t)s->first_class + s->class_count <= v->header->class_count);
	FUZZ_CHECK(s->policy_count <= WEIR_MAX_POLICIES_PER_SERVICE);
	for (uint32_t i = 0; i < s->backend_count; i++) {
		const struct weir_config_backend *b = &v->backends[s->first_backend + i];
		FUZZ_CHECK(b->state >= WEIR_BACKEND_UP && b->state <= WEIR_BACKEND_DOWN);
		FUZZ_CHECK(b->pool <= s->pool_count);
		FUZZ_CHECK(b->neighbour == WEIR_NO_NEIGHBOUR ||
			(b->neighbour & WEIR_HOP_GROUP ?
					(b->neighbour & ~WEIR_HOP_GROUP) <
						v->header->hop_group_count :
					b->neighbour < v->header->neighbour_count));
	}
}

static void config_check(const void *body, size_t length)
{
	struct weir_config_view v;

	weir_config_view(body, &v);
	FUZZ_CHECK(v.header->port_count <= WEIR_MAX_PORTS);
	FUZZ_CHECK(v.header->service_count <= WEIR_MAX_SERVICES);
	FUZZ_CHECK(
		(const char *)(v.classes + v.header->class_count) == (const char *)body + length);
	FUZZ_CHECK(v.header->outside_policy_count <= v.header->policy_count);
	for (uint32_t i = 0; i < v.header->policy_count; i++)
		name_check(v.policies[i].name, sizeof(v.policies[i].name));
	for (uint32_t i = 0; i < v.header->class_count; i++)
		name_check(v.classes[i].name, sizeof(v.classes[i].name));
	for (uint32_t i = 0; i < v.header->hop_group_count; i++) {
		const struct weir_config_hop_group *g = &v.hop_groups[i];
		FUZZ_CHECK(g->hop_count >= 2 && g->hop_count <= WEIR_MAX_HOPS);
		for (uint32_t k = 0; k < g->hop_count; k++)
			FUZZ_CHECK(g->neighbour[k] < v.header->neighbour_count && g->weight[k]);
	}
	for (uint32_t i = 0; i < v.header->port_count; i++) {
		name_check(v.ports[i].name, sizeof(v.ports[i].name));
		name_check(v.ports[i].device, sizeof(v.ports[i].device));
	}
	for (uint32_t i = 0; i < v.header->service_count; i++)
		service_check(&v, &v.services[i]);
	for (uint32_t i = 0; i < v.header->neighbour_count; i++)
		FUZZ_CHECK(v.neighbours[i].port < v.header->port_count);
}

static void directives_check(const void *body, size_t length)
{
	struct weir_directives_view v;

	weir_directives_view(body, &v);
	name_check(v.header->service, sizeof(v.header->service));
	FUZZ_CHECK(v.header->cores <= WEIR_MAX_CORES);
	FUZZ_CHECK(
		(const char *)(v.classes + v.header->class_count) == (const char *)body + length);
	for (uint32_t i = 0; i < v.header->class_count; i++) {
		name_check(v.classes[i].name, sizeof(v.classes[i].name));
		FUZZ_CHECK(v.classes[i].connections >= 1);
	}
	for (uint32_t i = 0; i < v.header->backend_count; i++)
		FUZZ_CHECK(v.backends[i].cap_yellow <= v.backends[i].cap &&
			v.backends[i].close_idle <= 1000);
	for (uint32_t i = 0; i < v.header->source_count; i++)
		FUZZ_CHECK(
			v.sources[i].weight >= 1 && v.sources[i].weight <= WEIR_SOURCE_WEIGHT_MAX);
}

static void message_check(const struct weir_stream_message *m)
{
	char err[256] = "";
	size_t length = m->header.length;
	int rc;

	FUZZ_CHECK(((const char *)m->body)[length] == '\0');
	switch (m->header.type) {
	case WEIR_MESSAGE_CONFIG:
		rc = weir_config_validate(m->body, length, err, sizeof(err));
		if (rc == 0)
			config_check(m->body, length);
		break;
	case WEIR_MESSAGE_BACKENDS:
		rc = weir_backend_updates_validate(m->body, length, err, sizeof(err));
		break;
	case WEIR_MESSAGE_NEIGHBOURS:
		rc = weir_neighbour_updates_validate(m->body, length, err, sizeof(err));
		break;
	case WEIR_MESSAGE_DIRECTIVES:
		rc = weir_directives_validate(m->body, length, err, sizeof(err));
		if (rc == 0)
			directives_check(m->body, length);
		break;
	case WEIR_MESSAGE_CORE_MOVE:
		rc = weir_core_move_validate(m->body, length, err, sizeof(err));
		break;
	case WEIR_MESSAGE_POLICY_STAGE:
		rc = weir_policy_stage_validate(m->body, length, err, sizeof(err));
		break;
	case WEIR_MESSAGE_POLICY_MAP:
		rc = weir_policy_map_validate(m->body, length, err, sizeof(err));
		break;
	case WEIR_MESSAGE_TRACE_START:
		rc = weir_trace_start_validate(m->body, length, err, sizeof(err));
		break;
	case WEIR_MESSAGE_TRACE_READ:
	case WEIR_MESSAGE_TRACE_STOP:
		rc = weir_trace_read_validate(m->body, length, err, sizeof(err));
		break;
	default:
		rc = weir_flow_query_validate(m->body, length, err, sizeof(err));
		break;
	}
	FUZZ_CHECK(rc == 0 || rc == -EINVAL || rc == -E2BIG);
	FUZZ_CHECK(rc == 0 || err[0] != '\0');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct weir_stream_message m;
	struct weir_stream *stream;
	int fds[2];
	int rc = 0;

	if (size < 1 || size > 65536)
		return 0;
	FUZZ_CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
	FUZZ_CHECK(weir_stream_create(fds[0], 65536, &stream) == 0);
	/* The first byte says where the bytes are cut in two. */
	size_t cut = data[0] * (size - 1) / 255;
	for (int part = 0; part < 2 && rc == 0; part++) {
		const uint8_t *bytes = data + 1 + (part ? cut : 0);
		size_t count = part ? size - 1 - cut : cut;
		FUZZ_CHECK(count == 0 ||
			send(fds[1], bytes, count, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)count);
		while ((rc = weir_stream_next(stream, &m)) == 1)
			message_check(&m);
	}
	FUZZ_CHECK(rc == 0 || rc == -EPROTO || rc == -ENOMEM);
	close(fds[1]);
	weir_stream_destroy(stream);
	return 0;
}
