/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The one table of all configuration keys. It drives reading, the complaints, the defaults, writing,
 * differences and the reference page; a new key is one row here and one field in the model.
 */

#ifndef WEIR_CONFIG_SCHEMA_H
#define WEIR_CONFIG_SCHEMA_H

#include "control/config/units.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct model;

enum schema_type {
	SCHEMA_MAP, /* children, at offset in the same object */
	SCHEMA_LIST, /* of mappings with children */
	SCHEMA_ADDRESS_LIST, /* of addresses */
	SCHEMA_CPU_LIST, /* [1, 2-3] */
	SCHEMA_VERSION, /* 1; stored nowhere */
	SCHEMA_NAME,
	SCHEMA_DEVICE, /* into struct model_port */
	SCHEMA_ADDRESS,
	SCHEMA_PREFIX, /* address, prefix_length and ipv6 of struct model_service */
	SCHEMA_PORT,
	SCHEMA_PORT_OR_ANY,
	SCHEMA_PORT_NAME, /* index of a port of the file, found after all is read */
	SCHEMA_CHOICE,
	SCHEMA_NUMBER,
	SCHEMA_SPAN, /* struct model_span: a number, or {min, max} */
	SCHEMA_RATE,
	SCHEMA_SIZE,
	SCHEMA_TIME,
	SCHEMA_URL_PATH, /* char * */
	SCHEMA_FILE, /* char * */
	SCHEMA_SETTINGS, /* a mapping of names to numbers, into a char ** of "name=value" */
	SCHEMA_HOST_LIST, /* of host:port, into a char ** */
	SCHEMA_MAC,
	SCHEMA_LISTEN, /* struct model_listen */
};

enum schema_flag {
	SCHEMA_F_REQUIRED = 1u << 0,
	SCHEMA_F_ONE_OR_LIST = 1u << 1, /* lists: a mapping alone is a list of one */
};

struct schema_choice {
	const char *name; /* NULL ends the list */
	int value;
	const char *help;
};

struct schema_key {
	const char *name; /* NULL ends the list */
	enum schema_type type;
	unsigned int flags;
	size_t offset; /* of the field in the object that its mapping describes */
	size_t size; /* of the field; of one element for lists of mappings */
	size_t count_offset; /* lists: of the size_t count */
	const char *preset; /* default as it would be written; NULL: none */
	const char *preset_help; /* how the default is found, where it is no constant */
	uint64_t min; /* numbers, rates, sizes, times; lists: entries */
	uint64_t max;
	const char *unit; /* for the reference: "packets per second" */
	const char *example; /* for complaints: "1.5M" */
	const char *help; /* one or two sentences */
	const struct schema_choice *choices;
	const struct schema_key *children;
	bool (*applies)(const void *object); /* NULL: always; else whether it is written out */
};

/* The top level mapping; object is struct model. */
extern const struct schema_key schema_root[];
/* schema_service.c, and its limits: schema_limits.c. */
extern const struct schema_key schema_service_keys[];
extern const struct schema_key schema_limits_keys[];
/* schema_adapt.c: the parts of a service that are about adaptation. */
extern const struct schema_key schema_objective_keys[];
extern const struct schema_key schema_adapt_keys[];
/* schema_stream.c */
extern const struct schema_key schema_probes_keys[];
extern const struct schema_key schema_stream_keys[];

/* Tables of their own; schema_policy.c. */
extern const struct schema_key schema_policy_keys[];
extern const struct schema_key schema_class_keys[];
extern const struct schema_key schema_pool_keys[];
extern const struct schema_key schema_backend_keys[];

/* What would be right, for behind "expected ": "a port 1..65535 or any". */
const char *schema_expect(const struct schema_key *k, char *buf, size_t size);

/* The type's name in the reference page. */
const char *schema_type_name(const struct schema_key *k);

/*
 * Read the text of a scalar key into its field. Returns true, or false with what is wrong in `what`,
 * written to follow the key's path: "\"x\" is not a number".
 */
bool schema_read(
	const struct schema_key *k, const char *text, void *object, char *what, size_t size);

/*
 * Write a field as YAML; not for SCHEMA_MAP and SCHEMA_LIST.
 *
 * m         the model that object is part of
 * ret_text  malloc'ed; NULL when the field is not set
 * Returns 1 (written), 0 (not set) or -ENOMEM.
 */
int schema_write(
	const struct schema_key *k, const struct model *m, const void *object, char **ret_text);

/* "name=value" with a name of C and a whole number, as `policy load --set` takes it. */
bool schema_setting_is_good(const char *name, const char *value);

/* "host:port", an address of IPv6 in brackets. */
bool schema_host_is_good(const char *text);

/* The units a type is written with. */
enum unit_kind schema_unit(enum schema_type type);

#endif
