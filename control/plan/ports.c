/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The rule. Of the 256 blocks of an address, 0 to 3 (well-known ports) are nobody's, nor are those
 * that touch the kernel's ephemeral range where the host itself uses the address. When F blocks are
 * free and K services are new on the address and protocol, each of them gets F / (K + 1), at least
 * one, in as few runs as can be: so the first plan leaves a part for a service to come, and one that
 * comes later gets half of what is free. A share never changes while its service wants it, so that
 * flows keep their ports.
 */

#include "control/plan/ports.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_BLOCK 4

struct plan_ports *plan_ports_create(void)
{
	return calloc(1, sizeof(struct plan_ports));
}

void plan_ports_destroy(struct plan_ports *p)
{
	if (p != NULL)
		free(p->shares);
	free(p);
}

struct plan_ports *plan_ports_copy(const struct plan_ports *p)
{
	struct plan_ports *copy = plan_ports_create();
	if (copy == NULL || p->count == 0)
		return copy;
	copy->shares = calloc(p->count, sizeof(*copy->shares));
	if (copy->shares == NULL) {
		plan_ports_destroy(copy);
		return NULL;
	}
	memcpy(copy->shares, p->shares, p->count * sizeof(*copy->shares));
	copy->count = p->count;
	copy->capacity = p->count;
	return copy;
}

static bool block_get(const uint8_t *blocks, unsigned int i)
{
	return (blocks[i / 8] >> (i % 8) & 1) != 0;
}

static void block_set(uint8_t *blocks, unsigned int i)
{
	blocks[i / 8] |= (uint8_t)(1u << (i % 8));
}

static struct plan_share *share_find(const struct plan_ports *p, const char *service,
	const struct address *address, uint8_t protocol)
{
	for (size_t i = 0; i < p->count; i++) {
		struct plan_share *s = &p->shares[i];
		if (s->protocol == protocol &&
			memcmp(&s->address, address, sizeof(*address)) == 0 &&
			strcmp(s->service, service) == 0)
			return s;
	}
	return NULL;
}

const struct plan_share *plan_ports_find(const struct plan_ports *p, const char *service,
	const struct address *address, uint8_t protocol)
{
	return share_find(p, service, address, protocol);
}

static struct plan_share *share_add(
	struct plan_ports *p, const char *service, const struct address *address, uint8_t protocol)
{
	if (p->count == p->capacity) {
		size_t capacity = p->capacity ? 2 * p->capacity : 16;
		struct plan_share *shares = realloc(p->shares, capacity * sizeof(*shares));
		if (shares == NULL)
			return NULL;
		p->shares = shares;
		p->capacity = capacity;
	}
	struct plan_share *s = &p->shares[p->count++];
	*s = (struct plan_share){ .address = *address, .protocol = protocol };
	snprintf(s->service, sizeof(s->service), "%s", service);
	return s;
}

/* Blocks of an address and protocol that nobody has and anybody may get. */
static unsigned int blocks_free(const struct plan_ports *p, const struct plan_world *world,
	const struct address *address, uint8_t protocol, uint8_t *ret_free)
{
	bool shared = world != NULL && world->host_owns != NULL && world->ephemeral_last != 0 &&
		world->host_owns(world->ctx, address);
	uint8_t taken[BLOCK_BYTES] = { 0 };
	unsigned int count = 0;
	for (size_t i = 0; i < p->count; i++) {
		const struct plan_share *s = &p->shares[i];
		if (s->protocol != protocol || memcmp(&s->address, address, sizeof(*address)) != 0)
			continue;
		for (size_t j = 0; j < BLOCK_BYTES; j++)
			taken[j] |= s->blocks[j];
	}
	memset(ret_free, 0, BLOCK_BYTES);
	for (unsigned int i = FIRST_BLOCK; i < WEIR_PORT_BLOCKS; i++) {
		bool kernels = shared && i >= world->ephemeral_first >> 8 &&
			i <= world->ephemeral_last >> 8;
		if (!kernels && !block_get(taken, i)) {
			block_set(ret_free, i);
			count++;
		}
	}
	return count;
}

/* The shortest run of free blocks that holds `want`, else the longest. Returns its length. */
static unsigned int run_find(const uint8_t *free_blocks, unsigned int want, unsigned int *ret_first)
{
	unsigned int best = 0;
	for (unsigned int i = 0, next; i < WEIR_PORT_BLOCKS; i = next) {
		next = i + 1;
		if (!block_get(free_blocks, i))
			continue;
		while (next < WEIR_PORT_BLOCKS && block_get(free_blocks, next))
			next++;
		unsigned int length = next - i;
		bool better = best < want ? length > best : length >= want && length < best;
		if (better) {
			best = length;
			*ret_first = i;
		}
	}
	return best;
}

static void share_fill(struct plan_share *s, uint8_t *free_blocks, unsigned int want)
{
	while (want > 0) {
		unsigned int first = 0;
		unsigned int length = run_find(free_blocks, want, &first);
		if (length == 0)
			return;
		for (unsigned int i = first; i < first + length && want > 0; i++, want--) {
			block_set(s->blocks, i);
			free_blocks[i / 8] &= (uint8_t) ~(1u << (i % 8));
		}
	}
}

/* Mark what the model wants; drop the rest. */
static void shares_keep_wanted(struct plan_ports *p, const struct model *m)
{
	size_t kept = 0;
	for (size_t i = 0; i < p->count; i++)
		p->shares[i].wanted = false;
	for (size_t i = 0; i < m->service_count; i++) {
		const struct model_service *s = &m->services[i];
		for (size_t j = 0; s->mode == MODEL_NAT && j < s->source_count; j++) {
			struct plan_share *share =
				share_find(p, s->name, &s->sources[j], (uint8_t)s->protocol);
			if (share != NULL)
				share->wanted = true;
		}
	}
	for (size_t i = 0; i < p->count; i++) {
		if (p->shares[i].wanted)
			p->shares[kept++] = p->shares[i];
	}
	p->count = kept;
}

static bool service_has_source(const struct model_service *s, const struct address *address)
{
	for (size_t i = 0; i < s->source_count; i++) {
		if (memcmp(&s->sources[i], address, sizeof(*address)) == 0)
			return true;
	}
	return false;
}

/* Serve all services that are new on this address and protocol. */
static int address_assign(struct plan_ports *p, const struct model *m,
	const struct plan_world *world, const struct address *address, uint8_t protocol, char *err,
	size_t err_size)
{
	uint8_t free_blocks[BLOCK_BYTES];
	unsigned int free_count = blocks_free(p, world, address, protocol, free_blocks);
	unsigned int newcomers = 0;
	for (int pass = 0; pass < 2; pass++) {
		unsigned int part = free_count / (newcomers + 1);
		for (size_t i = 0; i < m->service_count; i++) {
			const struct model_service *s = &m->services[i];
			if (s->mode != MODEL_NAT || (uint8_t)s->protocol != protocol ||
				!service_has_source(s, address) ||
				share_find(p, s->name, address, protocol) != NULL)
				continue;
			if (pass == 0) {
				newcomers++;
				continue;
			}
			if (free_count == 0) {
				char text[INET6_ADDRSTRLEN];
				snprintf(err, err_size,
					"service %s: all ports of %s are given to other services; add "
					"a source address",
					s->name, address_print(address, text, sizeof(text)));
				return -ENOSPC;
			}
			unsigned int want = part > 0 ? part : 1;
			struct plan_share *share = share_add(p, s->name, address, protocol);
			if (share == NULL)
				return -ENOMEM;
			share_fill(share, free_blocks, want);
			free_count -= want;
		}
	}
	return 0;
}

int plan_ports_assign(struct plan_ports *p, const struct model *m, const struct plan_world *world,
	char *err, size_t err_size)
{
	shares_keep_wanted(p, m);
	for (size_t i = 0; i < m->service_count; i++) {
		const struct model_service *s = &m->services[i];
		for (size_t j = 0; s->mode == MODEL_NAT && j < s->source_count; j++) {
			uint8_t protocol = (uint8_t)s->protocol;
			if (share_find(p, s->name, &s->sources[j], protocol) != NULL)
				continue;
			int r = address_assign(
				p, m, world, &s->sources[j], protocol, err, err_size);
			if (r < 0)
				return r;
		}
	}
	return 0;
}

#define SAVE_HEADER "weir-port-blocks 1\n"

char *plan_ports_save(const struct plan_ports *p)
{
	char *text = NULL;
	size_t size;
	FILE *to = open_memstream(&text, &size);
	if (to == NULL)
		return NULL;
	fputs(SAVE_HEADER, to);
	for (size_t i = 0; i < p->count; i++) {
		const struct plan_share *s = &p->shares[i];
		char address[INET6_ADDRSTRLEN];
		fprintf(to, "%s %s %s ", s->service, s->protocol == MODEL_TCP ? "tcp" : "udp",
			address_print(&s->address, address, sizeof(address)));
		for (size_t j = 0; j < BLOCK_BYTES; j++)
			fprintf(to, "%02x", s->blocks[j]);
		fputc('\n', to);
	}
	if (fclose(to) != 0) {
		free(text);
		return NULL;
	}
	return text;
}

static bool blocks_read(const char *text, uint8_t *ret_blocks)
{
	static const char digits[] = "0123456789abcdef";
	if (strlen(text) != (size_t)2 * BLOCK_BYTES || strspn(text, digits) != strlen(text))
		return false;
	for (size_t i = 0; i < BLOCK_BYTES; i++) {
		const char *high = strchr(digits, text[2 * i]);
		const char *low = strchr(digits, text[2 * i + 1]);
		ret_blocks[i] = (uint8_t)((high - digits) << 4 | (low - digits));
	}
	return true;
}

/* One line; false when it is not one of ours, or claims what another has. */
static bool share_load(struct plan_ports *p, const char *line)
{
	char service[MODEL_NAME_MAX + 1];
	char protocol[4];
	char address_text[INET6_ADDRSTRLEN];
	char hex[2 * BLOCK_BYTES + 1];
	struct address address;
	uint8_t blocks[BLOCK_BYTES];
	int end = 0;
	if (sscanf(line, "%63s %3s %45s %64s%n", service, protocol, address_text, hex, &end) != 4 ||
		line[end] != '\0' || !address_parse(address_text, &address) ||
		!blocks_read(hex, blocks))
		return false;
	bool tcp = strcmp(protocol, "tcp") == 0;
	if (!tcp && strcmp(protocol, "udp") != 0)
		return false;
	uint8_t number = tcp ? MODEL_TCP : MODEL_UDP;
	for (size_t i = 0; i < p->count; i++) {
		const struct plan_share *s = &p->shares[i];
		if (s->protocol != number || memcmp(&s->address, &address, sizeof(address)) != 0)
			continue;
		for (size_t j = 0; j < BLOCK_BYTES; j++) {
			if ((s->blocks[j] & blocks[j]) != 0)
				return false;
		}
		if (strcmp(s->service, service) == 0)
			return false;
	}
	struct plan_share *share = share_add(p, service, &address, number);
	if (share == NULL)
		return false;
	memcpy(share->blocks, blocks, sizeof(blocks));
	return true;
}

struct plan_ports *plan_ports_load(const char *text)
{
	size_t header = strlen(SAVE_HEADER);
	if (strncmp(text, SAVE_HEADER, header) != 0)
		return NULL;
	struct plan_ports *p = plan_ports_create();
	char *copy = strdup(text + header);
	bool good = p != NULL && copy != NULL;
	char *rest = copy;
	for (char *line; good && (line = strsep(&rest, "\n")) != NULL;) {
		if (*line != '\0')
			good = share_load(p, line);
	}
	free(copy);
	if (good)
		return p;
	plan_ports_destroy(p);
	return NULL;
}
