/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/daemon/dataplane/host_addresses.h"

#include "control/daemon/log.h"
#include "control/daemon/state_file.h"
#include "control/kernel/kernel_watch.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STATE_NAME "addresses.json"
#define LOOPBACK   "lo"

static bool equal(const struct address *a, const struct address *b)
{
	return !memcmp(a, b, sizeof(*a));
}

static struct host_address *ours_find(
	const struct host_addresses *h, const char *interface, const struct address *a)
{
	for (size_t i = 0; i < h->count; i++)
		if (equal(&h->ours[i].address, a) && !strcmp(h->ours[i].interface, interface))
			return &h->ours[i];
	return NULL;
}

static int ours_append(struct host_addresses *h, const char *interface, const struct address *a)
{
	struct host_address *grown = realloc(h->ours, (h->count + 1) * sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	h->ours = grown;
	struct host_address *added = &grown[h->count++];

	memset(added, 0, sizeof(*added));
	snprintf(added->interface, sizeof(added->interface), "%s", interface);
	added->address = *a;
	return 0;
}

static void ours_remove(struct host_addresses *h, size_t index)
{
	h->count--;
	memmove(&h->ours[index], &h->ours[index + 1], (h->count - index) * sizeof(*h->ours));
}

static int state_save(const struct host_addresses *h)
{
	json_t *list = json_array();
	char text[INET6_ADDRSTRLEN];

	for (size_t i = 0; list && i < h->count; i++)
		json_array_append_new(list,
			json_pack("{s:s, s:s}", "interface", h->ours[i].interface, "address",
				address_print(&h->ours[i].address, text, sizeof(text))));
	return state_write(h->run, STATE_NAME, list);
}

void host_addresses_init(
	struct host_addresses *h, const struct rundir *run, struct kernel_watch *kernel)
{
	json_t *item;
	size_t i;

	*h = (struct host_addresses){ .run = run, .kernel = kernel };
	json_t *list = state_read(run, STATE_NAME);

	json_array_foreach(list, i, item)
	{
		const char *interface = json_string_value(json_object_get(item, "interface"));
		const char *text = json_string_value(json_object_get(item, "address"));
		struct address a;

		if (interface && text && strlen(interface) < IFNAMSIZ && address_parse(text, &a))
			ours_append(h, interface, &a);
	}
	json_decref(list);
}

void host_addresses_fini(struct host_addresses *h)
{
	free(h->ours);
	h->ours = NULL;
	h->count = 0;
}

bool host_addresses_is_native(const struct host_addresses *h, const struct address *a)
{
	if (!kernel_address_exists(h->kernel, a, 0))
		return false;
	for (size_t i = 0; i < h->count; i++)
		if (equal(&h->ours[i].address, a))
			return false;
	return true;
}

/* Call `take` for each interface and address that the model needs; stops at an error. */
static int each_wanted(const struct host_addresses *h, const struct model *m,
	int (*take)(void *ctx, const char *interface, const struct address *a), void *ctx)
{
	for (size_t i = 0; i < m->service_count; i++) {
		const struct model_service *s = &m->services[i];

		/* Entry 0 is the service's own address, the others are its sources. */
		for (size_t j = 0; j <= s->source_count; j++) {
			const struct address *a = j ? &s->sources[j - 1] : &s->address;

			/* The addresses of a prefix are routed to us; the kernel is not asked. */
			if (!j && s->prefix_length != 128)
				continue;
			if (host_addresses_is_native(h, a))
				continue;
			int rc = take(ctx, LOOPBACK, a);

			for (size_t p = 0; !rc && s->ipv6 && p < m->port_count; p++)
				rc = take(ctx, model_port_interface(&m->ports[p]), a);
			if (rc)
				return rc;
		}
	}
	return 0;
}

struct adding {
	struct host_addresses *h;
	size_t saved; /* entries of `ours` that the state file has */
	char *err;
	size_t err_size;
};

/* First the state file learns what is going to be ours... */
static int note_missing(void *ctx, const char *interface, const struct address *a)
{
	struct adding *add = ctx;
	const struct kernel_link *link = kernel_link_by_name(add->h->kernel, interface);

	/* A port whose interface is not there gets its addresses when it appears. */
	if (!link || kernel_address_exists(add->h->kernel, a, link->ifindex) ||
		ours_find(add->h, interface, a))
		return 0;
	return ours_append(add->h, interface, a);
}

/* ...then it is added. */
static int add_missing(void *ctx, const char *interface, const struct address *a)
{
	struct adding *add = ctx;
	const struct kernel_link *link = kernel_link_by_name(add->h->kernel, interface);
	char text[INET6_ADDRSTRLEN];

	if (!link || kernel_address_exists(add->h->kernel, a, link->ifindex))
		return 0;
	int rc = kernel_address_add(add->h->kernel, link->ifindex, a);

	if (rc == -EEXIST)
		rc = 0;
	if (rc) {
		snprintf(add->err, add->err_size, "address %s cannot be added to %s: %s",
			address_print(a, text, sizeof(text)), interface, strerror(-rc));
		return rc;
	}
	log_info("added address %s to %s", address_print(a, text, sizeof(text)), interface);
	return 0;
}

static void kernel_remove(struct host_addresses *h, const struct host_address *ours)
{
	const struct kernel_link *link = kernel_link_by_name(h->kernel, ours->interface);
	char text[INET6_ADDRSTRLEN];

	if (!link)
		return;
	int rc = kernel_address_remove(h->kernel, link->ifindex, &ours->address);

	address_print(&ours->address, text, sizeof(text));
	if (!rc)
		log_info("removed address %s from %s", text, ours->interface);
	else if (rc != -EADDRNOTAVAIL)
		log_warning("address %s cannot be removed from %s: %s", text, ours->interface,
			strerror(-rc));
}

int host_addresses_add(struct host_addresses *h, const struct model *m, char *err, size_t err_size)
{
	struct adding add = { .h = h, .saved = h->count, .err = err, .err_size = err_size };
	int rc = each_wanted(h, m, note_missing, &add);

	if (!rc && h->count > add.saved)
		rc = state_save(h);
	if (rc)
		snprintf(err, err_size, "addresses cannot be noted in %s/" STATE_NAME ": %s",
			h->run->path, strerror(-rc));
	else
		rc = each_wanted(h, m, add_missing, &add);
	if (!rc)
		return 0;
	bool noted = h->count > add.saved;

	while (h->count > add.saved) {
		kernel_remove(h, &h->ours[h->count - 1]);
		h->count--;
	}
	if (noted)
		state_save(h);
	return rc;
}

struct wanting {
	const struct host_addresses *h;
	bool *wanted; /* for each of `ours` */
};

static int want(void *ctx, const char *interface, const struct address *a)
{
	struct wanting *w = ctx;
	const struct host_address *ours = ours_find(w->h, interface, a);

	if (ours)
		w->wanted[ours - w->h->ours] = true;
	return 0;
}

void host_addresses_prune(struct host_addresses *h, const struct model *m)
{
	size_t before = h->count;
	struct wanting w = { .h = h, .wanted = calloc(before + 1, sizeof(*w.wanted)) };

	if (!w.wanted) {
		log_warning("addresses that are no longer needed stay: out of memory");
		return;
	}
	if (m)
		each_wanted(h, m, want, &w);
	for (size_t i = before; i-- > 0;) {
		if (w.wanted[i])
			continue;
		kernel_remove(h, &h->ours[i]);
		ours_remove(h, i);
	}
	free(w.wanted);
	if (!m)
		rundir_unlink(h->run, STATE_NAME);
	else if (h->count != before)
		state_save(h);
}
