/* SPDX-License-Identifier: BSD-3-Clause */

#include "tests/unit/report/region.h"

#include "dataplane/api/histogram.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void region_address(uint8_t ret_address[16], uint8_t last)
{
	const uint8_t a[16] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 203, 0, 113, last };
	memcpy(ret_address, a, sizeof(a));
}

void region_measure(struct weir_histogram *h, uint64_t ns, uint64_t count)
{
	h->count += count;
	h->sum_ns += ns * count;
	h->bucket[weir_histogram_index(ns)] += count;
}

static void add_service(struct region *r, uint32_t slot, const char *name, uint8_t last_byte)
{
	struct weir_service_entry *e = &r->t.service[slot];
	e->used = 1;
	e->mode = 1;
	e->protocol = 6;
	e->prefix_length = 128;
	e->port = 80;
	e->epoch = 1;
	region_address(e->address, last_byte);
	snprintf(e->name, sizeof(e->name), "%s", name);
}

static void add_backend(struct region *r, uint32_t slot, uint8_t last_byte, uint8_t state)
{
	struct weir_backend_entry *b = &r->web_backend[slot];
	b->state = state;
	b->port = 8080;
	b->weight = 100;
	b->weight_in_force = 100 * WEIR_WEIGHT_UNIT;
	b->epoch = 1;
	region_address(b->address, last_byte);
}

struct region *region_create(void)
{
	struct region *r = calloc(1, sizeof(*r));
	if (r == NULL)
		abort();
	r->t = (struct weir_telemetry){
		.magic = WEIR_TELEMETRY_MAGIC,
		.version = WEIR_TELEMETRY_VERSION,
		.size = sizeof(*r),
		.pid = 42,
		.start_ns = 1000,
		.tsc_hz = 1000000000,
		.directory_seq = 4,
		.generation = 7,
		.core_count = REGION_CORES,
		.port_count = 2,
		.service_count = 3,
		.node_count = 1,
	};
	for (uint32_t i = 0; i < REGION_CORES; i++) {
		for (size_t j = 0;
			j < sizeof(r->web_backend_cell[0]) / sizeof(r->web_backend_cell[0][0]); j++)
			r->web_backend_cell[i][j].first_byte_to = WEIR_HIST_BUCKETS;
		r->t.core[i].cpu = 2 + i;
		r->t.core[i].cell_offset = offsetof(struct region, core) + i * sizeof(r->core[0]);
		r->t.service[0].cell_offset[i] =
			offsetof(struct region, web) + i * sizeof(r->web[0]);
		r->t.service[0].backend_cell_offset[i] = offsetof(struct region, web_backend_cell) +
			i * sizeof(r->web_backend_cell[0]);
	}
	/* Slot 0 of the ports is free: readers must not take the index of an entry for that of a cell. */
	struct weir_port_entry *p = &r->t.port[1];
	p->used = 1;
	p->kind = WEIR_PORT_KERNEL;
	p->link_up = 1;
	p->node = -1;
	p->mtu = 1500;
	snprintf(p->name, sizeof(p->name), "front");
	snprintf(p->device, sizeof(p->device), "eth1");
	snprintf(p->driver, sizeof(p->driver), "net_af_xdp");

	add_service(r, 0, "web", 10);
	r->t.service[0].backend_offset = offsetof(struct region, web_backend);
	r->t.service[0].backend_count = REGION_SLOTS;
	r->t.service[0].worker_mask = 2;
	r->t.service[0].flow_capacity = 4096;
	r->t.service[0].memory_flows = 4096 * 64;
	r->t.service[0].memory_police = 4096;
	r->t.memory_budget = 1 << 20;
	r->t.memory_used = 4096 * 65;
	add_backend(r, 0, 11, WEIR_BACKEND_UP);
	add_backend(r, 2, 12, WEIR_BACKEND_DRAINING);
	add_service(r, 2, "dns", 53);
	r->t.service[2].cell_offset[0] = offsetof(struct region, dns);
	return r;
}
