/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Policies are replaced and unloaded and their maps changed, a hundred times a second, while two workers judge
 * all the packets that they can. Each packet says in which version it was sent, so what came of it tells
 * which it was judged by: the one or the next, and never a mixture.
 *
 * usage: pipeline_policy_turns [SECONDS]
 */

#include "tests/unit/fastpath/policies/turns.h"
#include "tests/unit/fastpath/policy_bed.h"

#include <dirent.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#define CLIENT	     "198.51.100.7"
#define SERVICE	     "203.0.113.10"
#define CORES	     3u
#define TURN_MS	     10u
#define BURST	     64u
#define IN_FLIGHT    (6 * BURST) /* no ring is too short for them */
#define PORTS	     4096u
#define STALE	     64u /* turns after which all memory has been used that will be */
#define MAX_MORE_KIB 4096

static unsigned int seconds = 2;
static struct policy_image *turns;

/* What stands now, and what is told to the two sides; each field has one writer. */
struct play {
	struct bed *bed;
	/* the thread that changes */
	atomic_uint begun; /* version that some may be judged by */
	atomic_uint done; /* version that nobody is judged by an older one of */
	atomic_uint drains; /* it wants so many pauses */
	uint32_t replaced, unloaded, map_changes, failed;
	/* the thread that sends */
	atomic_uint drained;
	atomic_bool over;
	/* memory, early and late */
	long kib[2];
	int mappings[2], files[2];
};

struct flood {
	uint64_t sent, out;
	uint64_t sent_all, out_all; /* which every version passes */
	uint64_t sent_sure, out_sure; /* which the version that it was sent in and the next pass */
	uint64_t wrong; /* came out although neither passes it */
	uint64_t others; /* neither passes it, or only one */
};

static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static bool is_unloaded(uint32_t version)
{
	return version % 3 == 2;
}

static bool passes(uint32_t version, uint16_t port)
{
	const enum turns_kind kind = port & 3;

	return is_unloaded(version) || kind == TURNS_ALL ||
		(kind != TURNS_NONE && turns_passes(version, port));
}

/* The side that changes. */

static int stage(struct bed *b, uint64_t id, uint32_t version, uint32_t second)
{
	struct weir_policy_stage stage = {
		.id = id, .image_bytes = turns->size, .flags = WEIR_POLICY_F_VERIFIED
	};
	const char *const names[] = { "version", "again", "second" };
	const uint32_t values[] = { version, version, second };
	struct policy_image *copy = malloc(turns->size);
	int rc = copy ? 0 : -ENOMEM;

	if (copy)
		memcpy(copy, turns, turns->size);
	for (size_t i = 0; !rc && i < 3; i++) {
		char set[32], err[256];

		snprintf(set, sizeof(set), "%s=%u", names[i], values[i]);
		rc = policy_image_set(copy, set, err, sizeof(err));
	}
	if (!rc)
		rc = fastpath_policy_stage(b->fp, &stage, copy, NULL, 1, b->err, sizeof(b->err));
	free(copy);
	return rc;
}

static int turn(struct play *p, uint32_t version)
{
	struct bed *b = p->bed;
	int rc = 0;

	b->policy_count = 0;
	b->service[0].policy_count = 0;
	for (uint32_t second = 0; !is_unloaded(version) && second < 2; second++) {
		const uint64_t id = 2 * (uint64_t)version + second + 1;

		rc |= stage(b, id, version, second);
		policy_add(b, id);
	}
	atomic_store(&p->begun, version);
	rc |= bed_try_apply(b);
	atomic_store(&p->done, version);
	/* As a data plane does behind each CONFIG. */
	fastpath_policy_forget(b->fp, FASTPATH_ANY_CLIENT);
	if (is_unloaded(version))
		p->unloaded++;
	else
		p->replaced++;
	return rc;
}

static int map_change(struct play *p, uint32_t n)
{
	struct {
		struct weir_policy_map head;
		uint32_t key, a, b;
	} call = { .head = { .service = "web",
			   .map = "pairs",
			   .position = n % 2,
			   .op = WEIR_POLICY_MAP_SET,
			   .count = 1,
			   .key_bytes = 4,
			   .value_bytes = 8 },
		.key = 1,
		.a = n,
		.b = n };
	void *body = NULL;
	size_t length;
	int rc = fastpath_policy_map(
		p->bed->fp, &call.head, &body, &length, p->bed->err, sizeof(p->bed->err));

	free(body);
	p->map_changes++;
	return rc;
}

static int files_count(void)
{
	DIR *d = opendir("/proc/self/fd");
	int count = 0;

	while (d && readdir(d))
		count++;
	if (d)
		closedir(d);
	return count;
}

static void memory_note(struct play *p, int when)
{
	FILE *f = fopen("/proc/self/maps", "re");
	long pages = 0;
	int c;

	p->mappings[when] = 0;
	while (f && (c = fgetc(f)) != EOF)
		p->mappings[when] += c == '\n';
	if (f)
		fclose(f);
	f = fopen("/proc/self/statm", "re");
	if (!f || fscanf(f, "%*d %ld", &pages) != 1)
		p->failed++;
	if (f)
		fclose(f);
	p->kib[when] = pages * (sysconf(_SC_PAGESIZE) / 1024);
	p->files[when] = files_count();
}

/* All that was sent before now has been judged, so none is older than a turn. */
static void drain(struct play *p)
{
	const uint32_t wanted = atomic_fetch_add(&p->drains, 1) + 1;

	while (atomic_load(&p->drained) != wanted)
		bed_nap();
}

static void *run_changes(void *arg)
{
	struct play *p = arg;
	const uint64_t start = now_us(), end = start + seconds * UINT64_C(1000000);

	uint32_t version = 0;

	while (now_us() < end) {
		const uint64_t due = start + ++version * UINT64_C(1000) * TURN_MS;

		/* A change of a map every millisecond until then, of each policy's at least one. */
		for (uint32_t n = 0; n < 2 || now_us() < due; n++) {
			if (!is_unloaded(version - 1))
				p->failed += map_change(p, n) != 0;
			nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
		}
		drain(p);
		p->failed += turn(p, version) != 0;
		if (version == STALE)
			memory_note(p, 0);
	}
	/* With as many policies as at the early one. */
	while (version % 3 != STALE % 3) {
		drain(p);
		p->failed += turn(p, ++version) != 0;
	}
	memory_note(p, 1);
	atomic_store(&p->over, true);
	return NULL;
}

/* The side that sends. */

static void packets_take(struct play *play, struct flood *f)
{
	struct bed_packet p;

	for (uint8_t port = 0; port < BED_PORTS; port++) {
		while (bed_receive(play->bed, port, &p)) {
			const uint32_t last = atomic_load(&play->begun);
			bool right = false, sure = true;

			f->out++;
			f->out_all += (p.sport & 3) == TURNS_ALL;
			for (uint32_t v = p.tag; v <= p.tag + 1; v++) {
				right |= v <= last && passes(v, p.sport);
				sure &= passes(v, p.sport);
			}
			f->wrong += !right;
			f->out_sure += sure;
		}
	}
}

static void packets_send(struct play *play, struct flood *f)
{
	const uint32_t version = atomic_load(&play->done);

	for (uint32_t i = 0; i < BURST; i++) {
		const uint16_t sport = (uint16_t)(2000 + f->sent * 7 % PORTS);
		struct bed_packet p = bed_client(CLIENT, sport, SERVICE, 80);
		const bool sure = passes(version, sport) && passes(version + 1, sport);

		p.protocol = 17;
		p.payload = 4;
		p.tag = version;
		f->sent++;
		f->sent_all += (sport & 3) == TURNS_ALL;
		f->sent_sure += sure;
		f->others += !sure;
		bed_send(play->bed, 0, &p);
	}
}

static void traffic(struct play *p, struct flood *f)
{
	uint64_t patience = now_us() + (seconds + 20) * UINT64_C(1000000);

	while (now_us() < patience) {
		const uint64_t in_flight = f->sent - f->out - bed_dropped_all(p->bed, 0);
		const uint32_t drains = atomic_load(&p->drains);

		if (drains != atomic_load(&p->drained)) {
			if (!in_flight)
				atomic_store(&p->drained, drains);
		} else if (in_flight + BURST <= IN_FLIGHT && !atomic_load(&p->over)) {
			packets_send(p, f);
		} else if (!in_flight) {
			return;
		}
		packets_take(p, f);
	}
	/* Something was lost: let the other side end as well. */
	while (!atomic_load(&p->over)) {
		atomic_store(&p->drained, atomic_load(&p->drains));
		bed_nap();
	}
}

static void memory_check(const struct play *p)
{
	printf("# memory: %ld then %ld KiB resident, %d then %d mappings, %d then %d files\n",
		p->kib[0], p->kib[1], p->mappings[0], p->mappings[1], p->files[0], p->files[1]);
	CU_ASSERT_EQUAL(p->files[1], p->files[0]);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
	CU_ASSERT_TRUE(p->mappings[1] <= p->mappings[0] + 8);
	CU_ASSERT_TRUE(p->kib[1] <= p->kib[0] + MAX_MORE_KIB);
#endif
}

static void turns_under_traffic(void)
{
	struct bed b;
	struct play p = { .bed = &b };
	struct bed_runner runner[CORES];
	pthread_t thread[CORES], changes;
	struct flood f = { 0 };

	bed_start_with(&b, CORES, 2, UINT64_C(16) << 20, true);
	bed_add_service(&b, "web", WEIR_MODE_DSR, 17, SERVICE, 80)->cores = 2;
	bed_add_backend(&b, 0, "10.0.0.11", 80);
	CU_ASSERT_EQUAL_FATAL(turn(&p, 0), 0);
	for (uint32_t i = 0; i < CORES; i++) {
		runner[i] = (struct bed_runner){ &b, i };
		CU_ASSERT_EQUAL_FATAL(
			pthread_create(&thread[i], NULL, bed_run_core, &runner[i]), 0);
	}
	CU_ASSERT_EQUAL_FATAL(pthread_create(&changes, NULL, run_changes, &p), 0);
	traffic(&p, &f);
	pthread_join(changes, NULL);
	fastpath_stop(b.fp);
	for (uint32_t i = 0; i < CORES; i++)
		pthread_join(thread[i], NULL);
	packets_take(&p, &f);
	printf("# %u replaced, %u unloaded, %u map changes; %llu packets, of which %llu could only "
	       "come out, and %llu came out\n",
		p.replaced, p.unloaded, p.map_changes, (unsigned long long)f.sent,
		(unsigned long long)f.sent_sure, (unsigned long long)f.out);
	CU_ASSERT_EQUAL(p.failed, 0);
	CU_ASSERT_EQUAL(f.wrong, 0);
	CU_ASSERT_EQUAL(f.out_all, f.sent_all);
	CU_ASSERT_EQUAL(f.out_sure, f.sent_sure);
	CU_ASSERT_TRUE(f.others > 0);
	/* Nothing is lost: what did not come out was dropped by a policy, and counted. */
	CU_ASSERT_EQUAL(bed_dropped(&b, 0, WEIR_DROP_POLICY), f.sent - f.out);
	CU_ASSERT_EQUAL(bed_dropped_all(&b, 0), f.sent - f.out);
	CU_ASSERT_EQUAL(bed_sum(&b, 0, packets_received), f.sent);
	/* Machines that run tests are busy: a tenth of what there is time for will do. */
	CU_ASSERT_TRUE(p.replaced + p.unloaded >= seconds * 1000 / TURN_MS / 10);
	if (p.kib[0])
		memory_check(&p);
	bed_stop(&b);
}

/* First, while there is one thread: it forks. */
static void read_object(void)
{
	turns = policy_read("turns");
}

static void free_object(void)
{
	free(turns);
}

static const struct tap_case cases[] = {
	{ "the object is read", read_object },
	{ "each packet is judged by the whole of one version while policies and maps change",
		turns_under_traffic },
	{ "and its image is let go", free_object },
};

int main(int argc, char **argv)
{
	if (argc > 1)
		seconds = (unsigned int)strtoul(argv[1], NULL, 10);
	return tap_run("policy turns", cases, sizeof(cases) / sizeof(cases[0]));
}
