/* SPDX-License-Identifier: BSD-3-Clause */

/* The rules between keys. What is marked bad was complained about before and is passed over. */

#include "control/config/bind.h"
#include "control/config/seen.h"
#include "dataplane/api/messages.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

struct checker {
	struct model *m;
	struct error_list *errors;
	struct node *services;
	struct node *ports;
	struct seen addresses; /* of services with one address */
	struct seen prefixes; /* and of those with more */
	bool prefix_lengths[129];
};

static bool key_is_good(const struct node *map, const char *key)
{
	return node_is_good(node_get(map, key));
}

static const char *address_text(const struct address *a)
{
	static _Thread_local char text[INET6_ADDRSTRLEN];
	return address_print(a, text, sizeof(text));
}

/* Unique texts of one key over a list of mappings. */
static void check_unique(struct checker *c, struct node *list, const char *key)
{
	struct seen seen;
	if (list == NULL || list->kind != NODE_LIST || list->bad)
		return;
	seen_init(c->errors, &seen, list->count);
	for (struct node *item = list->first; item != NULL; item = item->next) {
		struct node *n = node_get(item, key);
		if (!node_is_good(n) || n->kind != NODE_SCALAR)
			continue;
		struct node *before = seen_add(&seen, n->text, strlen(n->text), n);
		if (before != NULL)
			node_complain(c->errors, n, NULL,
				"%s is used already (on line %u), expected another one", n->text,
				before->line);
	}
	free(seen.entries);
}

static size_t port_find(const struct checker *c, const char *name)
{
	for (size_t i = 0; i < c->m->port_count; i++) {
		if (strcmp(c->m->ports[i].name, name) == 0)
			return i;
	}
	return SIZE_MAX;
}

static void check_neighbours(struct checker *c, struct node *list)
{
	struct seen seen;
	if (c->m->neighbour_count == 0)
		return;
	seen_init(c->errors, &seen, c->m->neighbour_count);
	struct model_neighbour *b = c->m->neighbours;
	for (struct node *item = list->first; item != NULL; item = item->next, b++) {
		struct node *n = node_get(item, "port");
		if (!node_is_good(n))
			continue;
		size_t port = port_find(c, n->text);
		if (port == SIZE_MAX) {
			node_complain(c->errors, n, NULL,
				"%.80s is not a port of this file, expected the name of one",
				n->text);
			continue;
		}
		b->port = port;
		if (!key_is_good(item, "address"))
			continue;
		uint8_t key[17];
		memcpy(key, &b->address, 16);
		key[16] = (uint8_t)port;
		struct node *address = node_get(item, "address");
		struct node *before = seen_add(&seen, key, sizeof(key), address);
		if (before != NULL)
			node_complain(c->errors, address, NULL,
				"%s on port %.80s is listed already (on line %u), expected once",
				address_text(&b->address), n->text, before->line);
	}
	free(seen.entries);
}

/* Two services for the same packets; and a list of all service addresses for later. */
static void check_service_addresses(struct checker *c)
{
	struct seen seen;
	seen_init(c->errors, &seen, c->m->service_count);
	seen_init(c->errors, &c->addresses, c->m->service_count);
	seen_init(c->errors, &c->prefixes, c->m->service_count);
	const struct model_service *s = c->m->services;
	for (struct node *item = c->services->first; item != NULL; item = item->next, s++) {
		struct node *n = node_get(item, "address");
		if (!node_is_good(n))
			continue;
		uint8_t key[20];
		memcpy(key, &s->address, 16);
		key[16] = s->prefix_length;
		if (s->prefix_length == 128)
			seen_add(&c->addresses, &s->address, 16, n);
		else
			seen_add(&c->prefixes, key, 17, n);
		c->prefix_lengths[s->prefix_length] = true;
		if (!key_is_good(item, "port") || !key_is_good(item, "protocol"))
			continue;
		key[17] = (uint8_t)s->protocol;
		memcpy(key + 18, &s->port, 2);
		struct node *before = seen_add(&seen, key, sizeof(key), n);
		if (before != NULL)
			node_complain(c->errors, n, NULL,
				"services[%zu] has the same address, protocol and port (on line %u), "
				"expected another one",
				before->parent->index, before->line);
	}
	free(seen.entries);
}

/* The node of a service whose address or prefix holds a. */
static struct node *service_holding(const struct checker *c, const struct address *a)
{
	struct node *n = seen_find(&c->addresses, a, 16);
	uint8_t key[17];
	for (unsigned int length = 127; n == NULL && length > 0; length--) {
		if (!c->prefix_lengths[length])
			continue;
		memcpy(key, a, 16);
		key[16] = (uint8_t)length;
		for (unsigned int bit = length; bit < 128; bit++)
			key[bit / 8] &= (uint8_t) ~(0x80u >> (bit % 8));
		n = seen_find(&c->prefixes, key, sizeof(key));
	}
	return n;
}

static bool check_family(
	struct checker *c, const struct model_service *s, struct node *n, const struct address *a)
{
	if (address_is_ipv4(a) != s->ipv6)
		return true;
	node_complain(c->errors, n, NULL, "%s is an %s address, expected %s as the service's",
		address_text(a), s->ipv6 ? "IPv4" : "IPv6", s->ipv6 ? "IPv6" : "IPv4");
	return false;
}

/*
 * One list may serve an IPv4 and an IPv6 service, so it may hold both families; the model has those
 * that this service can use.
 */
static void keep_family(struct checker *c, struct model_service *s, struct node *list)
{
	size_t kept = 0;
	bool all_good = true;
	for (const struct node *n = list->first; n != NULL; n = n->next)
		all_good = all_good && !n->bad;
	for (size_t i = 0; i < s->source_count; i++) {
		if (address_is_ipv4(&s->sources[i]) != s->ipv6)
			s->sources[kept++] = s->sources[i];
	}
	s->source_count = kept;
	if (kept == 0 && all_good)
		node_complain(c->errors, list, NULL,
			"has no %s address, expected at least one as the service's is",
			s->ipv6 ? "IPv6" : "IPv4");
}

static void check_sources(struct checker *c, struct model_service *s, struct node *item)
{
	struct node *list = node_get(item, "source-addresses");
	struct seen seen;
	if (!key_is_good(item, "mode") || (list != NULL && list->bad))
		return;
	if (s->mode == MODEL_DSR) {
		if (list != NULL && list->count > 0)
			node_complain(c->errors, list, NULL,
				"dsr does not translate addresses, expected it to be left out");
		return;
	}
	if (s->source_count == 0) {
		node_complain(c->errors, list ? list : item, list ? NULL : "source-addresses",
			"is %s, expected at least one %s address for mode %s",
			list ? "empty" : "missing",
			!key_is_good(item, "address") ? "source" :
				s->ipv6		      ? "IPv6" :
							"IPv4",
			model_mode_label(s->mode));
		return;
	}
	seen_init(c->errors, &seen, s->source_count);
	const struct address *a = s->sources;
	for (struct node *n = list->first; n != NULL; n = n->next, a++) {
		if (n->bad)
			continue;
		struct node *before = seen_add(&seen, a, sizeof(*a), n);
		struct node *service = service_holding(c, a);
		if (before != NULL)
			node_complain(c->errors, n, NULL, "%s is listed twice, expected once",
				address_text(a));
		else if (service != NULL)
			node_complain(c->errors, n, NULL,
				"%s is an address of services[%zu] (on line %u), expected one that is "
				"no service's",
				address_text(a), service->parent->index, service->line);
	}
	free(seen.entries);
	if (key_is_good(item, "address"))
		keep_family(c, s, list);
}

/* A backend's port, by mode; sets the default. */
static void check_backend_port(struct checker *c, const struct model_service *s,
	struct node *service, struct model_backend *b, struct node *item)
{
	struct node *n = node_get(item, "port");
	if ((n != NULL && n->bad) || !key_is_good(service, "mode") || !key_is_good(service, "port"))
		return;
	if (s->mode == MODEL_NAT && s->port == 0 && n == NULL)
		node_complain(c->errors, item, "port",
			"is missing, expected a port 1..65535 as the service's is any");
	else if (s->mode != MODEL_NAT && s->port == 0 && n != NULL)
		node_complain(c->errors, n, NULL,
			"%s does not translate ports, expected it to be left out as the service's is "
			"any",
			model_mode_label(s->mode));
	else if (s->mode != MODEL_NAT && n != NULL && b->port != s->port)
		node_complain(c->errors, n, NULL,
			"%s does not translate ports, expected the service's, %u",
			model_mode_label(s->mode), s->port);
	else if (n == NULL)
		b->port = s->port;
}

static bool service_has_source(const struct model_service *s, const struct address *a)
{
	for (size_t i = 0; i < s->source_count; i++) {
		if (memcmp(&s->sources[i], a, sizeof(*a)) == 0)
			return true;
	}
	return false;
}

/* One of the service's lists; seen: what is in any. */
static void check_backend_list(struct checker *c, struct model_service *s, struct node *service,
	struct node *list, struct model_backend *b, struct seen *seen)
{
	for (struct node *item = list->first; item != NULL; item = item->next, b++) {
		struct node *n = node_get(item, "address");
		if (item->kind != NODE_MAP)
			continue;
		check_backend_port(c, s, service, b, item);
		if (!node_is_good(n) ||
			(key_is_good(service, "address") && !check_family(c, s, n, &b->address)))
			continue;
		if (service_has_source(s, &b->address)) {
			node_complain(c->errors, n, NULL,
				"%s is one of source-addresses, expected another host",
				address_text(&b->address));
			continue;
		}
		struct node *holder = seen_find(&c->addresses, &b->address, 16);
		if (holder != NULL) {
			node_complain(c->errors, n, NULL,
				"%s is the address of services[%zu] (on line %u), packets would come "
				"back, expected another host",
				address_text(&b->address), holder->parent->index, holder->line);
			continue;
		}
		uint8_t key[18];
		memcpy(key, &b->address, 16);
		memcpy(key + 16, &b->port, 2);
		struct node *before = seen_add(seen, key, sizeof(key), n);
		if (before != NULL)
			node_complain(c->errors, n, NULL,
				"%s port %u is listed already (on line %u), expected once",
				address_text(&b->address), b->port, before->line);
	}
}

static void check_backends(struct checker *c, struct model_service *s, struct node *service)
{
	size_t total = model_backend_total(s);
	struct seen seen;
	seen_init(c->errors, &seen, total);
	if (s->backend_count > 0)
		check_backend_list(
			c, s, service, node_get(service, "backends"), s->backends, &seen);
	if (s->fallback_count > 0)
		check_backend_list(
			c, s, service, node_get(service, "fallback"), s->fallback, &seen);
	struct node *pool = s->pool_count > 0 ? node_get(service, "pools")->first : NULL;
	for (size_t i = 0; pool != NULL; pool = pool->next, i++) {
		if (s->pools[i].backend_count > 0)
			check_backend_list(c, s, service, node_get(pool, "backends"),
				s->pools[i].backends, &seen);
	}
	free(seen.entries);
	if (total > WEIR_MAX_BACKENDS_PER_SERVICE)
		node_complain(c->errors,
			node_get(service, s->pool_count > 0 ? "pools" : "fallback"), NULL,
			"makes it %zu backends in all, expected at most %d", total,
			WEIR_MAX_BACKENDS_PER_SERVICE);
}

/* The computed defaults of a check, and what fits together in it. */
static void check_health(struct checker *c, struct model_service *s, struct node *service)
{
	struct node *map = node_get(service, "health");
	struct model_health *h = &s->health;
	struct node *type = node_get(map, "type");
	bool has_port = s->mode == MODEL_NAT || s->port != 0;
	if (map != NULL && map->bad)
		return;
	if (type == NULL)
		h->type =
			s->protocol == MODEL_TCP && has_port ? MODEL_HEALTH_TCP : MODEL_HEALTH_NONE;
	else if (type->bad)
		return;
	if (key_is_good(map, "path") && h->type != MODEL_HEALTH_HTTP)
		node_complain(c->errors, node_get(map, "path"), NULL,
			"is given without type http, expected it to be left out");
	if (type != NULL && h->type == MODEL_HEALTH_HTTP && key_is_good(service, "protocol") &&
		s->protocol != MODEL_TCP)
		node_complain(c->errors, type, NULL,
			"http needs a service of protocol tcp, expected tcp or none");
	if (type != NULL && h->type != MODEL_HEALTH_NONE && !has_port &&
		key_is_good(service, "mode") && key_is_good(service, "port"))
		node_complain(c->errors, type, NULL,
			"backends of a %s service with port any have no port to check, expected none",
			model_mode_label(s->mode));
	struct node *interval = node_get(map, "interval");
	struct node *timeout = node_get(map, "timeout");
	if (interval != NULL && interval->bad)
		return;
	if (timeout == NULL && h->timeout_ns >= h->interval_ns)
		h->timeout_ns = h->interval_ns / 2;
	else if (node_is_good(timeout) && h->timeout_ns >= h->interval_ns)
		node_complain(c->errors, timeout, NULL,
			"%s is not less than the interval, expected a shorter time", timeout->text);
}

static void check_proxy(struct checker *c, struct model_service *s, struct node *service)
{
	struct node *n = node_get(service, "proxy-protocol");
	s->health.proxy_header = s->proxy_protocol != MODEL_PROXY_NONE;
	if (!node_is_good(n) || s->proxy_protocol == MODEL_PROXY_NONE)
		return;
	if (key_is_good(service, "mode") && s->mode != MODEL_NAT)
		node_complain(c->errors, n, NULL,
			"%s leaves the client's address as it is, expected none",
			model_mode_label(s->mode));
	else if (key_is_good(service, "protocol") && s->protocol != MODEL_TCP)
		node_complain(c->errors, n, NULL, "needs a service of protocol tcp, expected none");
}

/* Keys that say something about affinity, where there is none. */
static void check_affinity(struct checker *c, const struct model_service *s, struct node *service)
{
	struct node *map = node_get(service, "affinity");
	if (!node_is_good(map) || s->affinity.type != MODEL_AFFINITY_NONE)
		return;
	for (struct node *n = map->first; n != NULL; n = n->next) {
		if (!n->bad && strcmp(n->key, "type") != 0)
			node_complain(c->errors, n, NULL,
				"is given without type source, expected it to be left out");
	}
}

static void check_cores(struct checker *c, const struct model_service *s, struct node *item)
{
	struct node *n = node_get(item, "cores");
	size_t count = c->m->dataplane.core_count;
	if (!node_is_good(n) || count == 0 || s->cores.max <= count)
		return;
	node_complain(c->errors, n->kind == NODE_MAP ? node_get(n, "max") : n, NULL,
		"%u are more than the %zu CPUs of dataplane.cores, expected at most %zu",
		s->cores.max, count, count);
}

/* The computed default: bursts of a source are as long as the service's. */
static void check_per_source(struct model_service *s, struct node *service)
{
	struct node *map = node_get(node_get(service, "limits"), "per-source");

	if (node_get(map, "burst") == NULL)
		s->limits.per_source.burst_ns = s->limits.burst_ns;
}

static void check_totals(struct checker *c)
{
	size_t backends = 0;
	size_t sources = 0;
	size_t policies = c->m->policy_count;
	size_t classes = 0;
	for (size_t i = 0; i < c->m->service_count; i++) {
		backends += model_backend_total(&c->m->services[i]);
		sources += c->m->services[i].source_count;
		policies += c->m->services[i].policy_count;
		classes += c->m->services[i].class_count;
	}
	if (policies > WEIR_MAX_POLICIES)
		node_complain(c->errors, c->services, NULL,
			"has %zu policies in all, expected at most %d", policies,
			WEIR_MAX_POLICIES);
	if (classes > WEIR_MAX_CLASSES)
		node_complain(c->errors, c->services, NULL,
			"has %zu classes in all, expected at most %d", classes, WEIR_MAX_CLASSES);
	if (backends > WEIR_MAX_BACKENDS)
		node_complain(c->errors, c->services, NULL,
			"has %zu backends in all, expected at most %d", backends,
			WEIR_MAX_BACKENDS);
	if (sources > WEIR_MAX_SOURCES)
		node_complain(c->errors, c->services, NULL,
			"has %zu source addresses in all, expected at most %d", sources,
			WEIR_MAX_SOURCES);
}

void check_model(struct node *root, struct model *m, struct error_list *errors)
{
	struct checker c = {
		.m = m,
		.errors = errors,
		.services = node_get(root, "services"),
		.ports = node_get(root, "ports"),
	};
	check_unique(&c, c.ports, "name");
	check_unique(&c, c.ports, "device");
	check_pci_ports(m, c.ports, errors);
	check_unique(&c, c.services, "name");
	check_neighbours(&c, node_get(root, "neighbours"));
	check_stream(errors, node_get(root, "stream"));
	check_policies(m->policies, m->policy_count, node_get(root, "policy"));
	if (m->service_count > 0) {
		check_service_addresses(&c);
		struct model_service *s = m->services;
		for (struct node *n = c.services->first; n != NULL; n = n->next, s++) {
			if (n->kind != NODE_MAP)
				continue;
			check_sources(&c, s, n);
			check_backends(&c, s, n);
			check_health(&c, s, n);
			check_adapt(errors, s, n, node_get(root, "probes") != NULL);
			check_affinity(&c, s, n);
			check_proxy(&c, s, n);
			check_cores(&c, s, n);
			check_per_source(s, n);
			check_unique(&c, node_get(n, "classes"), "name");
			check_unique(&c, node_get(n, "pools"), "name");
			check_policies(s->policies, s->policy_count, node_get(n, "policy"));
		}
		check_totals(&c);
	}
	free(c.addresses.entries);
	free(c.prefixes.entries);
}
