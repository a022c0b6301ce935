/* SPDX-License-Identifier: BSD-3-Clause */

/* The flow table against a list that is searched from end to end. */

#include "dataplane/table/flow_table.h"
#include "tests/unit/fastpath/random.h"
#include "tests/unit/fastpath/scarce.h"
#include "tests/unit/tap.h"
#include "tests/unit/tsan.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>

#define PART	7u /* the partition that the model drives */
#define RECORDS 96u /* in a partition */
#define KEYS	400u
#define STEPS	60000u
#define SLOT_MS (1u << FLOW_WHEEL_SHIFT)

struct key {
	uint8_t addrs[32]; /* as in the header; IPv4: the first 8 */
	uint32_t ports;
};

struct entry {
	bool used;
	struct key backend;
	struct flow *flow;
	uint8_t state;
	uint32_t last_seen_ms;
	uint64_t queued; /* when it went to the end of its queue */
};

struct model {
	struct flow_table *table;
	struct flow_partition *part;
	struct hash_seed seed;
	bool ipv6, nat;
	struct entry entry[KEYS]; /* by client key */
	uint32_t count;
	uint32_t now_ms;
	uint64_t order;
	uint32_t next_port; /* of the backend side */
	uint32_t released;
	bool release_wrong;
	struct random random;
};

static struct key client_key(const struct model *m, uint32_t k)
{
	struct key key = { .ports = htons((uint16_t)(1000 + k % 50)) | (uint32_t)htons(80) << 16 };
	uint32_t client = htonl(0x0a000000u + k / 50), service = htonl(0xc0000201u);

	if (m->ipv6) {
		memcpy(key.addrs + 12, &client, 4);
		memcpy(key.addrs + 28, &service, 4);
		key.addrs[0] = key.addrs[16] = 0x20;
	} else {
		memcpy(key.addrs, &client, 4);
		memcpy(key.addrs + 4, &service, 4);
	}
	return key;
}

static struct key backend_key(const struct model *m, uint32_t backend, uint32_t port)
{
	struct key key = { .ports = htons(8080) };
	uint32_t addr = htonl(0xc0a80000u + backend), source = htonl(0xc0a8ff01u);

	if (m->nat)
		key.ports |= (uint32_t)htons((uint16_t)port) << 16;
	else
		source = 0;
	if (m->ipv6) {
		key.addrs[0] = 0xfd;
		memcpy(key.addrs + 12, &addr, 4);
		memcpy(key.addrs + 28, &source, 4);
	} else {
		memcpy(key.addrs, &addr, 4);
		memcpy(key.addrs + 4, &source, 4);
	}
	return key;
}

static uint64_t key_hash(const struct model *m, const struct key *key)
{
	uint64_t addrs;

	if (m->ipv6)
		return hash_tuple6(&m->seed, key->addrs, key->ports, 6);
	memcpy(&addrs, key->addrs, 8);
	return hash_tuple4(&m->seed, addrs, key->ports, 6);
}

static struct flow *find(const struct model *m, const struct key *key, enum flow_side side)
{
	uint64_t hash = key_hash(m, key);

	flow_prefetch(m->part, hash);
	struct flow *guess = flow_prefetch_record(m->part, hash, side);
	struct flow *f = m->ipv6 ? flow_find6(m->part, hash, key->addrs, key->ports, side) :
				   flow_find4(m->part, hash, key->addrs, key->ports, side);

	CU_ASSERT_PTR_EQUAL(
		flow_find_guessed(m->part, guess, hash, key->addrs, key->ports, side, m->ipv6), f);
	return f;
}

static struct entry *entry_of(struct model *m, const struct flow *f)
{
	for (uint32_t k = 0; k < KEYS; k++)
		if (m->entry[k].used && m->entry[k].flow == f)
			return &m->entry[k];
	return NULL;
}

/* The table says that a flow ends: it must be one that the model knows. */
static void on_release(void *ctx, struct flow_partition *part, const struct flow *f)
{
	struct model *m = ctx;
	struct entry *e = entry_of(m, f);

	m->released++;
	if (e == NULL || part != m->part || f->state != e->state || f->user[0] != 0x5a) {
		m->release_wrong = true;
		return;
	}
	e->used = false;
	m->count--;
}

/* What a worker's second pass has found may be gone when the third one comes. */
static void step_remove(struct model *m, uint32_t k)
{
	const struct key key = client_key(m, k);
	const uint64_t hash = key_hash(m, &key);
	struct flow *guess = flow_prefetch_record(m->part, hash, FLOW_SIDE_CLIENT);

	flow_remove(m->part, m->entry[k].flow);
	CU_ASSERT_PTR_NULL(flow_find_guessed(
		m->part, guess, hash, key.addrs, key.ports, FLOW_SIDE_CLIENT, m->ipv6));
}

static void model_start(struct model *m, bool ipv6, bool nat, uint32_t start_ms)
{
	memset(m, 0, sizeof(*m));
	m->random = random_start("flow table");
	m->seed = hash_seed_make(random_next(&m->random));
	m->ipv6 = ipv6;
	m->nat = nat;
	m->now_ms = start_ms;
	struct flow_table_params params = {
		.capacity = RECORDS * FLOW_PARTITIONS,
		.ipv6 = ipv6,
		.nat = nat,
		.protocol = 6,
		.seed = m->seed,
		.node = -1,
		.timeouts = flow_timeouts_default,
		.memory = table_memory_libc,
		.release = on_release,
		.release_ctx = m,
	};

	CU_ASSERT_EQUAL_FATAL(flow_table_create(&params, &m->table), 0);
	m->part = &m->table->part[PART];
}

/* What a full partition must give up: the oldest closed one, else half open, else unassured. */
static struct entry *expected_victim(struct model *m)
{
	static const uint8_t order[] = { FLOW_CLOSED, FLOW_SYN, FLOW_UDP_NEW };

	for (uint32_t i = 0; i < 3; i++) {
		struct entry *oldest = NULL;

		for (uint32_t k = 0; k < KEYS; k++) {
			struct entry *e = &m->entry[k];

			if (e->used && e->state == order[i] &&
				(oldest == NULL || e->queued < oldest->queued))
				oldest = e;
		}
		if (oldest != NULL)
			return oldest;
	}
	return NULL;
}

static void entry_note(struct model *m, struct entry *e, uint8_t state)
{
	e->state = state;
	e->last_seen_ms = m->now_ms;
	e->queued = ++m->order;
}

static void step_insert(struct model *m, uint32_t k, uint32_t backend)
{
	static const uint8_t states[] = { FLOW_SYN, FLOW_UDP_NEW, FLOW_ESTABLISHED };
	struct entry *e = &m->entry[k];
	struct key client = client_key(m, k);
	uint32_t port = ++m->next_port;
	uint8_t state = states[random_below(&m->random, 3)];
	struct entry *same_backend = NULL;
	bool full = m->count == RECORDS;

	/* Now and then the backend's side is that of another flow, which must go. */
	if (m->nat && random_below(&m->random, 16) == 0)
		same_backend = &m->entry[random_below(&m->random, KEYS)];
	struct key back = same_backend != NULL && same_backend->used ?
		same_backend->backend :
		backend_key(m, backend, port);
	struct entry *victim = full ? expected_victim(m) : NULL;

	if (same_backend != NULL && same_backend->used) {
		victim = same_backend;
		full = false;
	}
	uint32_t released = m->released;
	struct flow_new fresh = {
		.hash = key_hash(m, &client),
		.client_addrs = client.addrs,
		.client_ports = client.ports,
		.backend_addrs = back.addrs,
		.backend_ports = back.ports,
		.state = state,
	};

	flow_insert_prefetch(m->part);
	struct flow *f = flow_insert(m->part, &fresh, m->now_ms);

	CU_ASSERT_EQUAL(m->released - released, victim != NULL ? 1 : 0);
	CU_ASSERT(victim == NULL || !victim->used);
	if (f == NULL) {
		CU_ASSERT(full && victim == NULL);
		return;
	}
	CU_ASSERT(!full || victim != NULL);
	CU_ASSERT_EQUAL(f->bucket, PART);
	CU_ASSERT_EQUAL(f->flags, 0);
	CU_ASSERT_EQUAL(f->user[0], 0);
	f->user[0] = 0x5a;
	*e = (struct entry){ .used = true, .flow = f, .backend = back };
	entry_note(m, e, state);
	m->count++;
}

static void step_touch(struct model *m, struct entry *e)
{
	bool counts = m->now_ms - e->last_seen_ms >= FLOW_TOUCH_INTERVAL_MS;

	flow_touch(m->part, e->flow, m->now_ms);
	if (counts)
		entry_note(m, e, e->state);
}

static void step_state(struct model *m, struct entry *e)
{
	uint8_t state = (uint8_t)(1 + random_below(&m->random, FLOW_STATE_COUNT - 1));

	flow_set_state(m->part, e->flow, state, m->now_ms);
	if (state != e->state)
		entry_note(m, e, state);
}

static void step_rebind(struct model *m, struct entry *e)
{
	struct key back = backend_key(m, random_below(&m->random, 9), ++m->next_port);

	CU_ASSERT(flow_rebind(m->part, e->flow, back.addrs, back.ports));
	e->backend = back;
}

static uint32_t timeout_of(const struct model *m, const struct entry *e)
{
	return m->part->timeouts.ms[e->state];
}

/* Time passes: nobody ends early, nobody stays more than a slot too long. */
static void step_age(struct model *m, uint32_t ms, uint32_t budget)
{
	bool due[KEYS] = { false };

	m->now_ms += ms;
	for (uint32_t k = 0; k < KEYS; k++)
		due[k] = m->entry[k].used &&
			m->now_ms - m->entry[k].last_seen_ms >= timeout_of(m, &m->entry[k]);
	bool was[KEYS];

	for (uint32_t k = 0; k < KEYS; k++)
		was[k] = m->entry[k].used;
	while (flow_partition_age(m->part, m->now_ms, budget) >= budget)
		;
	for (uint32_t k = 0; k < KEYS; k++) {
		struct entry *e = &m->entry[k];

		if (was[k] && !e->used)
			CU_ASSERT(due[k]);
		if (!e->used)
			continue;
		uint32_t late = flow_state_transient(e->state) ? 0 : SLOT_MS;

		CU_ASSERT(m->now_ms - e->last_seen_ms < timeout_of(m, e) + late);
	}
}

static void check_all(struct model *m)
{
	uint32_t read = 0;

	for (uint32_t k = 0; k < KEYS; k++) {
		struct entry *e = &m->entry[k];
		struct key client = client_key(m, k);
		struct flow_view view;
		bool peeked =
			flow_peek(m->part, key_hash(m, &client), client.addrs, client.ports, &view);

		CU_ASSERT_PTR_EQUAL(find(m, &client, FLOW_SIDE_CLIENT), e->used ? e->flow : NULL);
		CU_ASSERT_PTR_NULL(find(m, &client, FLOW_SIDE_BACKEND));
		CU_ASSERT_EQUAL(peeked, e->used);
		if (!e->used)
			continue;
		CU_ASSERT_EQUAL(view.state, e->state);
		CU_ASSERT_EQUAL(view.client_port, 1000 + k % 50);
		CU_ASSERT_EQUAL(view.service_port, 80);
		CU_ASSERT_EQUAL(view.backend_port, 8080);
		CU_ASSERT_EQUAL(view.source_port, ntohs((uint16_t)(e->backend.ports >> 16)));
		if (m->nat)
			CU_ASSERT_PTR_EQUAL(find(m, &e->backend, FLOW_SIDE_BACKEND), e->flow);
	}
	for (uint32_t r = 0; r < flow_partition_extent(m->part); r++) {
		struct flow_view view;

		read += flow_read(m->part, r, &view);
	}
	CU_ASSERT_EQUAL(read, m->count);
	CU_ASSERT_EQUAL(m->part->count, m->count);
	CU_ASSERT_FALSE(m->release_wrong);
}

static void model_run(bool ipv6, bool nat, uint32_t start_ms)
{
	static struct model m;

	model_start(&m, ipv6, nat, start_ms);
	for (uint32_t step = 0; step < STEPS; step++) {
		uint32_t k = random_below(&m.random, KEYS);
		struct entry *e = &m.entry[k];
		/* Stretches of growth and of decay. */
		bool growth = step / 4000 % 2 == 0;

		switch (random_below(&m.random, 10)) {
		case 0:
		case 1:
		case 2:
			if (!e->used)
				step_insert(&m, k, random_below(&m.random, 9));
			break;
		case 3:
			if (e->used && !growth)
				step_remove(&m, k);
			break;
		case 4:
			if (e->used)
				step_state(&m, e);
			break;
		case 5:
			if (e->used)
				step_rebind(&m, e);
			break;
		case 6:
			step_age(&m, random_below(&m.random, growth ? 300 : 20000),
				1 + random_below(&m.random, 40));
			break;
		default:
			if (e->used)
				step_touch(&m, e);
		}
		if (step % 500 == 0)
			check_all(&m);
	}
	check_all(&m);
	step_age(&m, 1000000, 100);
	CU_ASSERT_EQUAL(m.count, 0);
	check_all(&m);
	for (uint32_t l = 0; l < m.part->line_count; l++) {
		CU_ASSERT_EQUAL(m.part->lines[l].used, 0);
		CU_ASSERT_EQUAL(m.part->lines[l].spilled, 0);
	}
	flow_table_destroy(m.table);
}

static void model_ipv4_nat(void)
{
	model_run(false, true, 5000);
}

static void model_ipv4_dsr(void)
{
	/* The clock wraps on the way. */
	model_run(false, false, UINT32_MAX - 2000000);
}

static void model_ipv6_nat(void)
{
	model_run(true, true, UINT32_MAX - 2000000);
}

static void model_ipv6_dsr(void)
{
	model_run(true, false, 0);
}

/* Fill a whole table by hash, as packets do, until each partition is full. */
static void fill_to_capacity(bool ipv6, bool nat, uint32_t capacity)
{
	struct model m = { .ipv6 = ipv6, .nat = nat, .seed = hash_seed_make(3) };
	struct flow_table_params params = {
		.capacity = capacity,
		.ipv6 = ipv6,
		.nat = nat,
		.protocol = 6,
		.seed = m.seed,
		.node = -1,
		.timeouts = flow_timeouts_default,
		.memory = table_memory_libc,
	};
	uint32_t early = 0, inserted = 0;

	CU_ASSERT_EQUAL_FATAL(flow_table_create(&params, &m.table), 0);
	uint32_t room = flow_table_capacity(m.table);

	for (uint32_t i = 0; i < 40 * room && inserted < room; i++) {
		struct key client = client_key(&m, i), back = backend_key(&m, i >> 16, i);
		uint64_t hash = key_hash(&m, &client);

		m.part = &m.table->part[hash_bucket(hash)];
		struct flow_new fresh = { hash, client.addrs, back.addrs, client.ports, back.ports,
			FLOW_ESTABLISHED };

		if (flow_insert(m.part, &fresh, 0) != NULL)
			inserted++;
		else if (m.part->count < m.part->capacity)
			early++;
	}
	CU_ASSERT_EQUAL(early, 0);
	CU_ASSERT_EQUAL(inserted, room);
	CU_ASSERT_EQUAL(flow_table_count(m.table), room);
	flow_table_destroy(m.table);
}

static void takes_what_it_promises(void)
{
	fill_to_capacity(false, true, 1);
	fill_to_capacity(false, true, 4000);
	fill_to_capacity(false, true, 100000);
	fill_to_capacity(false, false, 100000);
	fill_to_capacity(true, true, 30000);
}

static void memory_is_as_stated(void)
{
	CU_ASSERT_DOUBLE_EQUAL(
		(double)flow_table_bytes(1 << 20, false, false) / (1 << 20), 73.1, 0.5);
	CU_ASSERT_DOUBLE_EQUAL(
		(double)flow_table_bytes(1 << 20, false, true) / (1 << 20), 82.3, 0.5);
	CU_ASSERT_DOUBLE_EQUAL(
		(double)flow_table_bytes(1 << 20, true, false) / (1 << 20), 137.1, 0.5);
	CU_ASSERT_DOUBLE_EQUAL(
		(double)flow_table_bytes(1 << 20, true, true) / (1 << 20), 146.3, 0.5);
}

static void ageing_is_bounded(void)
{
	struct model m;

	model_start(&m, false, false, 0);
	for (uint32_t k = 0; k < RECORDS; k++)
		step_insert(&m, k, 1);
	uint32_t full = m.count;

	CU_ASSERT_EQUAL(full, RECORDS);
	CU_ASSERT(flow_partition_age(m.part, 2000000, 10) <= 10);
	CU_ASSERT(m.count >= full - 10);
	flow_table_destroy(m.table);
}

static void bad_parameters_are_refused(void)
{
	struct flow_table *t = NULL;
	struct flow_table_params params = {
		.capacity = 0,
		.timeouts = flow_timeouts_default,
		.memory = table_memory_libc,
	};

	CU_ASSERT_EQUAL(flow_table_create(&params, &t), -EINVAL);
	params.capacity = FLOW_TABLE_MAX + 1;
	CU_ASSERT_EQUAL(flow_table_create(&params, &t), -EINVAL);
	params.capacity = 100;
	params.timeouts.ms[FLOW_SYN] = 0;
	CU_ASSERT_EQUAL(flow_table_create(&params, &t), -EINVAL);
	CU_ASSERT_PTR_NULL(t);
}

static void running_out_of_memory_is_survived(void)
{
	struct scarce scarce = { 0 };
	struct flow_table *t = NULL;
	struct flow_table_params params = {
		.capacity = 100,
		.timeouts = flow_timeouts_default,
		.memory = scarce_memory(&scarce),
	};

	for (int n = 0; n < FLOW_PARTITIONS + 1; n++) {
		scarce.left = n;
		CU_ASSERT_EQUAL(flow_table_create(&params, &t), -ENOMEM);
		CU_ASSERT_EQUAL(scarce.held, 0);
	}
	scarce.left = FLOW_PARTITIONS + 1;
	CU_ASSERT_EQUAL_FATAL(flow_table_create(&params, &t), 0);
	flow_table_destroy(t);
	CU_ASSERT_EQUAL(scarce.held, 0);
}

/*
 * A reader beside the writer. Every flow's backend side carries one number three times, and one that
 * goes with its client: a record that is not of one piece shows.
 */
struct race {
	struct model m;
	_Atomic bool stop;
	_Atomic uint32_t seen;
	uint32_t found, torn;
};

static struct key race_backend(const struct model *m, uint32_t k, uint32_t version)
{
	struct key key = backend_key(m, (k << 8) | (version & 0xff), 0);

	key.ports = version | version << 16;
	return key;
}

static void race_check(struct race *race, const struct flow_view *v)
{
	uint32_t client = (uint32_t)v->client_address[15] * 50 + (v->client_port - 1000u);
	uint32_t backend = (uint32_t)v->backend_address[14] | (uint32_t)v->backend_address[13] << 8;

	race->seen++;
	if (v->backend_port != v->source_port || (backend & 0xff) != (client & 0xff) ||
		v->backend_address[15] != (ntohs(v->backend_port) & 0xff) || v->service_port != 80)
		race->torn++;
}

static void *race_read(void *arg)
{
	struct race *race = arg;
	struct flow_view view;
	uint32_t k = 0;

	TSAN_READS_HIDE();
	while (!race->stop) {
		for (uint32_t r = 0; r < flow_partition_extent(race->m.part); r++)
			if (flow_read(race->m.part, r, &view))
				race_check(race, &view);
		struct key client = client_key(&race->m, k++ % 64);

		if (flow_peek(race->m.part, key_hash(&race->m, &client), client.addrs, client.ports,
			    &view)) {
			race->found++;
			race_check(race, &view);
		}
	}
	TSAN_READS_SHOW();
	return NULL;
}

static void race_step(struct model *m, uint32_t k, uint32_t version)
{
	struct key client = client_key(m, k), back = race_backend(m, k, version);
	struct flow *f = find(m, &client, FLOW_SIDE_CLIENT);
	struct flow_new fresh = {
		.hash = key_hash(m, &client),
		.client_addrs = client.addrs,
		.client_ports = client.ports,
		.backend_addrs = back.addrs,
		.backend_ports = back.ports,
		.state = FLOW_ESTABLISHED,
	};

	if (f == NULL)
		f = flow_insert(m->part, &fresh, 0);
	else if (version % 4 == 0)
		flow_remove(m->part, f);
	else
		CU_ASSERT(flow_rebind(m->part, f, back.addrs, back.ports));
	CU_ASSERT_PTR_NOT_NULL(f);
}

static void race_run(bool ipv6)
{
	static struct race race;
	pthread_t reader;

	memset(&race, 0, sizeof(race));
	model_start(&race.m, ipv6, true, 0);
	for (uint32_t b = 0; b < FLOW_PARTITIONS; b++)
		race.m.table->part[b].release = NULL;
	CU_ASSERT_EQUAL_FATAL(pthread_create(&reader, NULL, race_read, &race), 0);
	/* On a busy machine the reader may come late. */
	for (uint32_t i = 1; i < TSAN_LESS(400000) || (race.seen < 1000 && i < 100000000); i++)
		race_step(&race.m, random_below(&race.m.random, 64), i & 0xffff);
	race.stop = true;
	pthread_join(reader, NULL);
	CU_ASSERT_EQUAL(race.torn, 0);
	CU_ASSERT(race.seen >= 1000);
	flow_table_destroy(race.m.table);
}

static void readers_see_whole_records(void)
{
	race_run(false);
	race_run(true);
}

static const struct tap_case cases[] = {
	{ "IPv4 nat does what a list does", model_ipv4_nat },
	{ "IPv4 dsr does what a list does, also when the clock wraps", model_ipv4_dsr },
	{ "IPv6 nat does what a list does, also when the clock wraps", model_ipv6_nat },
	{ "IPv6 dsr does what a list does", model_ipv6_dsr },
	{ "a table takes as many flows as it promises", takes_what_it_promises },
	{ "a flow costs the memory that the header states", memory_is_as_stated },
	{ "ageing stops at its budget", ageing_is_bounded },
	{ "a reader beside the writer sees whole records only", readers_see_whole_records },
	{ "bad parameters are refused", bad_parameters_are_refused },
	{ "running out of memory is survived at every step", running_out_of_memory_is_survived },
};

TAP_MAIN("flow table", cases)
