/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The configuration as data: what a YAML file says, checked and with defaults filled in. A model is
 * built once, never changed afterwards, and freed whole.
 */

#ifndef WEIR_CONFIG_MODEL_H
#define WEIR_CONFIG_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>

#define MODEL_NAME_MAX	63
#define MODEL_UNLIMITED UINT64_MAX

/* 16 bytes, IPv4 mapped into ::ffff:0:0/96. */
struct address {
	uint8_t bytes[16];
};

enum model_protocol {
	MODEL_TCP = 6,
	MODEL_UDP = 17,
};

enum model_mode {
	MODEL_NAT = 1,
	MODEL_DSR = 2,
	MODEL_IPIP = 3,
	MODEL_GUE = 4,
};

enum model_idle {
	MODEL_IDLE_SLEEP = 0,
	MODEL_IDLE_SPIN = 1,
	MODEL_IDLE_INTERRUPT = 2,
};

enum model_early_drops {
	MODEL_EARLY_DROPS_KERNEL = 0,
	MODEL_EARLY_DROPS_WEIR = 1,
};

enum model_hugepages {
	MODEL_HUGEPAGES_AUTO,
	MODEL_HUGEPAGES_REQUIRED,
	MODEL_HUGEPAGES_NONE,
};

enum model_health_type {
	MODEL_HEALTH_NONE,
	MODEL_HEALTH_TCP,
	MODEL_HEALTH_HTTP,
};

enum model_device_kind {
	MODEL_DEVICE_INTERFACE, /* a kernel interface name */
	MODEL_DEVICE_PCI, /* domain:bus:device.function */
};

struct model_dataplane {
	uint16_t *cores; /* CPU numbers, ascending, no repeats; NULL: choose (see INTERFACE) */
	size_t core_count;
	enum model_idle idle;
	enum model_early_drops early_drops;
	enum model_hugepages hugepages;
	uint64_t memory_bytes;
};

struct model_port {
	char name[MODEL_NAME_MAX + 1];
	char device[64];
	enum model_device_kind kind;
};

enum model_policy_mode {
	MODEL_POLICY_ENFORCE,
	MODEL_POLICY_OBSERVE,
};

enum model_policy_error {
	MODEL_POLICY_ERROR_PASS,
	MODEL_POLICY_ERROR_DROP,
};

enum model_policy_offload {
	MODEL_OFFLOAD_AUTO,
	MODEL_OFFLOAD_NEVER,
};

/* An eBPF program of the operator's; see ebpf/engine/. */
struct model_policy {
	char *object; /* a path, relative to the folder of the file; owned */
	enum model_policy_mode mode;
	enum model_policy_error on_error;
	enum model_policy_offload offload;
	char **sets; /* "name=value"; owned, as the texts are */
	size_t set_count;
	uint32_t budget; /* cycles a packet, median */
	/* What follows is not of the file's meaning: where it names the object (0: it does not), */
	unsigned int line;
	unsigned int column;
	bool listed; /* there it is one of a list */
	/* and what came of the object, which somebody has read and judged. */
	uint64_t load; /* number of its load by hand; 0: by a configuration */
	uint64_t place; /* of the service, when it may be in the kernel; 0: in Weir alone */
	bool offloads; /* the kernel can run it */
	uint64_t id; /* of its image; 0: there is none, it does not run */
	char name[MODEL_NAME_MAX + 1]; /* that its source gives it */
};

/* The kernel's interface: the device itself, or the twin of a PCI device, which has the port's name. */
static inline const char *model_port_interface(const struct model_port *port)
{
	return port->kind == MODEL_DEVICE_PCI ? port->name : port->device;
}

struct model_backend {
	struct address address;
	uint16_t port; /* 0 only in dsr services with port any */
	uint16_t weight;
};

struct model_per_source {
	uint16_t prefix4; /* bits of a client's address that make a source */
	uint16_t prefix6;
	uint64_t packets; /* per second; MODEL_UNLIMITED when absent; 0 lets nothing pass */
	uint64_t connections;
	uint64_t burst_ns;
	uint32_t entries; /* 0: chosen by the data plane */
};

struct model_limits {
	uint64_t packets; /* per second; MODEL_UNLIMITED when absent; 0 lets nothing pass */
	uint64_t bits;
	uint64_t connections;
	uint64_t burst_ns;
	struct model_per_source per_source;
};

/* What LIMIT(n) of a policy means: its number is its place in the list, from 1. */
struct model_class {
	char name[MODEL_NAME_MAX + 1];
	uint64_t packets; /* per second; MODEL_UNLIMITED when absent; 0 lets nothing pass */
	uint64_t bits;
	uint64_t connections;
	uint64_t burst_ns;
};

/* What ROUTE(n) means. */
struct model_pool {
	char name[MODEL_NAME_MAX + 1];
	struct model_backend *backends;
	size_t backend_count;
};

struct model_health {
	enum model_health_type type;
	char *path; /* http only; owned */
	uint64_t interval_ns;
	uint64_t timeout_ns;
	uint32_t rise;
	uint32_t fall;
	uint64_t slow_start_ns; /* 0: a backend that comes back has its whole weight at once */
	bool proxy_header; /* the service's backends expect one: proxy-protocol */
};

enum model_affinity_type {
	MODEL_AFFINITY_NONE,
	MODEL_AFFINITY_SOURCE,
};

struct model_affinity {
	enum model_affinity_type type;
	uint16_t prefix4;
	uint16_t prefix6;
	uint64_t timeout_ns;
	uint32_t places;
};

enum model_no_backend {
	MODEL_NO_BACKEND_REFUSE,
	MODEL_NO_BACKEND_DROP,
};

enum model_proxy_protocol {
	MODEL_PROXY_NONE = 0,
	MODEL_PROXY_V2 = 2,
};

/* What adaptation defends; 0: nothing. */
struct model_objective {
	uint64_t p99_ns; /* of the first byte */
};

enum model_adapt_mode {
	MODEL_ADAPT_OFF,
	MODEL_ADAPT_OBSERVE,
	MODEL_ADAPT_ON,
};

struct model_adapt {
	enum model_adapt_mode weights;
	enum model_adapt_mode shed;
	enum model_adapt_mode sources;
	enum model_adapt_mode forecast;
	enum model_adapt_mode cores;
	bool objective; /* the service has one */
	bool range; /* the service's cores are one */
};

/* A number that may move; min = max: it does not. */
struct model_span {
	uint16_t min;
	uint16_t max;
};

struct model_service {
	char name[MODEL_NAME_MAX + 1];
	struct address address; /* host bits beyond the prefix are zero */
	uint8_t prefix_length; /* of the mapped address: IPv4 /32 is 128 */
	bool ipv6;
	uint16_t port; /* 0 = any */
	enum model_protocol protocol;
	enum model_mode mode;
	struct model_span cores;
	struct address *sources; /* nat: of the service's family */
	size_t source_count;
	struct model_objective objective;
	struct model_adapt adapt;
	struct model_limits limits;
	struct model_backend *backends;
	size_t backend_count;
	struct model_backend *fallback; /* used while none of `backends` takes new flows */
	size_t fallback_count;
	struct model_policy *policies; /* run in this order */
	size_t policy_count;
	struct model_class *classes;
	size_t class_count;
	struct model_pool *pools; /* get flows only from policies */
	size_t pool_count;
	struct model_affinity affinity;
	enum model_proxy_protocol proxy_protocol;
	enum model_no_backend no_backend;
	struct model_health health;
};

/* All backends of a service in one order: `backends`, then `fallback`, then those of `pools`. */
static inline size_t model_backend_total(const struct model_service *s)
{
	size_t total = s->backend_count + s->fallback_count;

	for (size_t i = 0; i < s->pool_count; i++)
		total += s->pools[i].backend_count;
	return total;
}

static inline bool model_backend_is_fallback(const struct model_service *s, size_t index)
{
	return index >= s->backend_count && index < s->backend_count + s->fallback_count;
}

/* Number of the backend's pool from 1, as policies name it; 0: it is in none. */
static inline size_t model_backend_pool(const struct model_service *s, size_t index)
{
	size_t end = s->backend_count + s->fallback_count;

	if (index < end)
		return 0;
	for (size_t i = 0; i < s->pool_count; i++) {
		end += s->pools[i].backend_count;
		if (index < end)
			return i + 1;
	}
	return 0;
}

/* index: below model_backend_total() */
static inline const struct model_backend *model_backend_at(
	const struct model_service *s, size_t index)
{
	if (index < s->backend_count)
		return &s->backends[index];
	index -= s->backend_count;
	if (index < s->fallback_count)
		return &s->fallback[index];
	index -= s->fallback_count;
	const struct model_pool *pool = s->pools;
	for (; index >= pool->backend_count; pool++)
		index -= pool->backend_count;
	return &pool->backends[index];
}

struct model_neighbour {
	struct address address;
	uint8_t mac[6];
	size_t port; /* index into ports */
};

/* Where events go besides `weirctl events`. */
struct model_stream {
	char **brokers; /* "host:port"; owned */
	size_t broker_count; /* 0: nowhere */
	char topic[MODEL_NAME_MAX + 1];
	int summaries; /* also one message per service and second */
	uint32_t queue; /* messages */
};

/* An address and port of this host to listen at. */
struct model_listen {
	bool set; /* false: nowhere */
	struct address address;
	uint16_t port;
};

/* What weir-probe of backend hosts reports to. */
struct model_probes {
	struct model_listen listen;
	char *key_file; /* owned; NULL: no probes */
};

struct model {
	struct model_dataplane dataplane;
	struct model_port *ports;
	size_t port_count;
	struct model_service *services;
	size_t service_count;
	struct model_neighbour *neighbours;
	size_t neighbour_count;
	struct model_policy *policies; /* for packets that are no service's */
	size_t policy_count;
	struct model_listen metrics;
	struct model_probes probes;
	struct model_stream stream;
};

/* All policies of a model: those of services, then those for packets that are no service's. */
struct model_policy_cursor {
	size_t service;
	size_t position; /* of the next one at its service */
};

/*
 * The next policy, or NULL; a cursor begins as zeros. ret_service: whose it is, NULL: no service's;
 * ret_position: its place there, from 0.
 */
struct model_policy *model_policy_next(const struct model *m, struct model_policy_cursor *c,
	const struct model_service **ret_service, size_t *ret_position);

/*
 * The key by which complaints name the object of a policy: services[0].policy.object, policy[1].object. s and
 * position as model_policy_next() says them; key of MODEL_POLICY_KEY_SIZE.
 */
#define MODEL_POLICY_KEY_SIZE 64
void model_policy_key(const struct model *m, const struct model_service *s,
	const struct model_policy *p, size_t position, char *key);

/* Where an object lies that a configuration names, which is the file `file` itself; path of PATH_MAX. */
void model_object_path(const char *file, const char *object, char *path);

/* One complaint. line and column count from 1; key is a path such as services[0].backends[1].port. */
struct model_error {
	unsigned int line;
	unsigned int column;
	char *text; /* "services[0].port: 70000 is out of range, expected 1..65535 or any"; owned */
};

struct model_errors {
	struct model_error *items;
	size_t count;
};

/*
 * Read and check a whole configuration. All its errors are collected, in the order of the file.
 *
 * text, length  the file's bytes; need not end in NUL
 * ret_model     set on success; free with model_destroy()
 * ret_errors    set when -EINVAL is returned; free with model_errors_fini()
 *
 * Returns 0, -EINVAL (errors found) or -ENOMEM.
 */
int model_parse(
	const char *text, size_t length, struct model **ret_model, struct model_errors *ret_errors);
void model_destroy(struct model *m); /* NULL is fine */
void model_policy_fini(struct model_policy *p);

/* How the file names a mode. */
const char *model_mode_label(enum model_mode mode);
void model_errors_fini(struct model_errors *e);

/* FILE:LINE:COLUMN: key: what is wrong, one line each. */
void model_errors_print(FILE *to, const char *file, const struct model_errors *e);

/* Canonical YAML of a model, defaults written out; parses back to an equal model. malloc'ed, or NULL. */
char *model_to_yaml(const struct model *m);

/*
 * What would change, for people: lines "+ services.web", "~ services.web.limits.packets: 1M -> 2M",
 * "- services.old". Empty string when nothing. malloc'ed, or NULL when out of memory. before may be NULL.
 */
char *model_diff(const struct model *before, const struct model *after);

/* A 64-bit mark of the model's meaning: equal models have equal digests, in any process. */
uint64_t model_digest(const struct model *m);

/*
 * Set one limit as a file would: key "packets" or "per-source.packets", value "1.5M"; "none" takes a
 * rate's limit away.
 *
 * Returns 0, -ENOENT (no such key) or -EINVAL (not a value), with a sentence in err; then limits is as
 * it was.
 */
int model_limit_set(struct model_limits *limits, const char *key, const char *value, char *err,
	size_t err_size);
/* The limit as it would be written, in buf (32 bytes are enough) or constant; "none" when not set. */
const char *model_limit_print(
	const struct model_limits *limits, const char *key, char *buf, size_t size);

/* "10.0.0.1", "2001:db8::1"; buf of INET6_ADDRSTRLEN. */
const char *address_print(const struct address *a, char *buf, size_t size);
/* "10.0.0.1:80", "[2001:db8::1]:80". */
const char *address_port_print(const struct address *a, uint16_t port, char *buf, size_t size);
bool address_parse(const char *text, struct address *ret_address);
/* Both forms above; the port is required, and may be "any", which is 0. */
bool address_port_parse(const char *text, struct address *ret_address, uint16_t *ret_port);
bool address_is_ipv4(const struct address *a);
/* As the kernel's sockets have it, IPv4 as AF_INET; returns its length. */
socklen_t address_to_socket(
	const struct address *a, uint16_t port, struct sockaddr_storage *ret_socket);
void address_from_socket(const struct sockaddr_storage *socket, struct address *ret_address);

#endif
