/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/probe/host/report.h"
#include "control/probe/key.h"
#include "control/probe/message.h"
#include "tests/unit/tap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DATAGRAMS 64

static const struct probe_key key = { .bytes = "a key of the test's own", .length = 23 };
static const struct probe_key other = { .bytes = "a key of the test's owN", .length = 23 };

/* What was sent. */
static struct datagrams {
	size_t count;
	struct {
		uint8_t data[PROBE_MESSAGE_MAX];
		size_t length;
	} item[DATAGRAMS];
} sent;

static void keep(void *ctx, const void *data, size_t length)
{
	CU_ASSERT_FATAL(sent.count < DATAGRAMS && length <= PROBE_MESSAGE_MAX);
	memcpy(sent.item[sent.count].data, data, length);
	sent.item[sent.count++].length = length;
}

static const struct probe_message head = { .boot = 7,
	.sequence = 100,
	.time_ns = 1700000000000000000,
	.interval_ms = 250,
	.sender = { [10] = 0xff, 0xff, 10, 1, 0, 11 } };

static struct report_service *services_make(size_t count)
{
	struct report_service *s = calloc(count, sizeof(*s));

	CU_ASSERT_FATAL(s != NULL);
	for (size_t i = 0; i < count; i++)
		s[i].key =
			(struct probe_service_key){ .address = { [10] = 0xff, 0xff, 10, 1, 0, 110 },
				.port = (uint16_t)(80 + i),
				.protocol = 6 };
	return s;
}

static int write_all(const struct report_service *s, size_t count)
{
	const struct report_out out = { NULL, keep };

	sent.count = 0;
	return report_write(s, count, &head, &key, &out);
}

static int open_one(size_t i, struct probe_message *m)
{
	return probe_message_open(sent.item[i].data, sent.item[i].length, &key, m);
}

static void what_is_told_is_what_was_counted(void)
{
	struct report_service *s = services_make(1);
	struct probe_message m;

	s->before.requests = 5;
	s->now.requests = 25;
	s->now.syns = 3;
	s->now.open = 7;
	s->now.waiting = -1;
	s->now.connect_ns = 5000;
	s->now.first_byte_ns = UINT64_C(1) << 40;
	s->now.connect[4] = 1;
	s->before.first_byte[800] = UINT32_MAX;
	s->now.first_byte[800] = 2; /* went round */
	s->now.first_byte[0] = 4;
	CU_ASSERT_EQUAL(write_all(s, 1), 1);
	CU_ASSERT_EQUAL_FATAL(open_one(0, &m), 0);
	CU_ASSERT_EQUAL(m.boot, 7);
	CU_ASSERT_EQUAL(m.sequence, 100);
	CU_ASSERT_EQUAL(m.time_ns, head.time_ns);
	CU_ASSERT_EQUAL(m.interval_ms, 250);
	CU_ASSERT_EQUAL(memcmp(m.sender, head.sender, 16), 0);
	CU_ASSERT_EQUAL_FATAL(m.service_count, 1);
	const struct probe_service *t = &m.services[0];

	CU_ASSERT_EQUAL(t->port, 80);
	CU_ASSERT_EQUAL(t->requests, 20);
	CU_ASSERT_EQUAL(t->syns, 3);
	CU_ASSERT_EQUAL(t->open, 7);
	CU_ASSERT_EQUAL(t->waiting, 0);
	CU_ASSERT_EQUAL(t->connect_ns, 5000);
	CU_ASSERT_EQUAL(t->first_byte_ns, UINT64_C(1) << 40);
	CU_ASSERT_EQUAL(t->connect_count, 1);
	CU_ASSERT_EQUAL_FATAL(t->first_byte_count, 2);
	CU_ASSERT_EQUAL(probe_pair_at(t, 0).bucket, 4);
	CU_ASSERT_EQUAL(probe_pair_at(t, 1).count, 4);
	CU_ASSERT_EQUAL(probe_pair_at(t, 2).bucket, 800);
	CU_ASSERT_EQUAL(probe_pair_at(t, 2).count, 3);
	free(s);
}

/* Every bucket of many services is in use, and one count is large. */
static void what_is_too_much_for_one_goes_into_several(void)
{
	enum {
		SERVICES = 5
	};
	struct report_service *s = services_make(SERVICES);
	static uint32_t seen[SERVICES][2][WEIR_HIST_BUCKETS];
	uint64_t requests = 0;

	memset(seen, 0, sizeof(seen));
	for (uint32_t i = 0; i < SERVICES; i++) {
		s[i].now.requests = 10 + i;
		for (uint32_t j = 0; j < WEIR_HIST_BUCKETS; j++) {
			s[i].now.connect[j] = i + j + 1;
			s[i].now.first_byte[j] = j == 9 ? 200000 : i + 2 * j;
		}
	}
	int count = write_all(s, SERVICES);

	CU_ASSERT_TRUE_FATAL(count > 20);
	CU_ASSERT_EQUAL((size_t)count, sent.count);
	for (size_t d = 0; d < sent.count; d++) {
		struct probe_message m;

		CU_ASSERT_EQUAL_FATAL(open_one(d, &m), 0);
		CU_ASSERT_EQUAL(m.sequence, 100 + d);
		for (unsigned int i = 0; i < m.service_count; i++) {
			const struct probe_service *t = &m.services[i];
			uint32_t(*to)[WEIR_HIST_BUCKETS] = seen[t->port - 80];

			requests += t->requests;
			CU_ASSERT_EQUAL(t->requests != 0, !(t->flags & PROBE_SERVICE_F_MORE));
			for (unsigned int j = 0; j < t->connect_count + t->first_byte_count; j++) {
				struct probe_pair p = probe_pair_at(t, j);

				to[j >= t->connect_count][p.bucket] += p.count;
			}
		}
	}
	CU_ASSERT_EQUAL(requests, 10 + 11 + 12 + 13 + 14);
	for (uint32_t i = 0; i < SERVICES; i++) {
		CU_ASSERT_EQUAL(memcmp(seen[i][0], s[i].now.connect, sizeof(seen[i][0])), 0);
		CU_ASSERT_EQUAL(memcmp(seen[i][1], s[i].now.first_byte, sizeof(seen[i][1])), 0);
	}
	free(s);
}

static void all_that_was_changed_is_refused(void)
{
	struct report_service *s = services_make(2);
	struct probe_message m = { .boot = 1 };
	uint8_t *data = sent.item[0].data;

	s->now.first_byte[77] = 1;
	CU_ASSERT_EQUAL(write_all(s, 2), 1);
	size_t length = sent.item[0].length;

	CU_ASSERT_EQUAL(probe_message_open(data, length, &other, &m), -EACCES);
	for (size_t i = 0; i < length; i++) {
		data[i] ^= 1;
		CU_ASSERT_NOT_EQUAL(probe_message_open(data, length, &key, &m), 0);
		data[i] ^= 1;
	}
	for (size_t n = 0; n < length; n++)
		CU_ASSERT_EQUAL(probe_message_open(data, n, &key, &m), -EMSGSIZE);
	data[4]++;
	CU_ASSERT_EQUAL(probe_message_open(data, length, &key, &m), -EPROTONOSUPPORT);
	data[4]--;
	CU_ASSERT_EQUAL(m.boot, 1);
	CU_ASSERT_EQUAL(probe_message_open(data, length, &key, &m), 0);
	free(s);
}

/* Sealed with the key, and wrong nevertheless: offset of a byte, what it becomes. */
static void what_is_against_the_layout_is_refused(void)
{
	static const struct {
		size_t at;
		uint8_t value;
	} wrong[] = {
		{ 16, 0 }, /* sequence 0 */
		{ 32, 0 }, /* no interval */
		{ 36, 2 }, /* services that are not there */
		{ 36, 0 }, /* bytes that are no service's */
		{ 38, 1 }, /* reserved */
		{ 56 + 18, 1 }, /* protocol */
		{ 56 + 19, 2 }, /* flags */
		{ 56 + 20, 1 }, /* a pair that is not there */
		{ 56 + 23, 1 }, /* very many */
		{ 56 + 57, 4 }, /* a bucket that is not there */
		{ 56 + 60, 1 }, /* out of order */
		{ 56 + 58, 0 }, /* a count of nothing */
	};
	struct report_service *s = services_make(1);
	struct probe_message m;

	s->now.first_byte[5] = 1;
	s->now.first_byte[6] = 1;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		CU_ASSERT_EQUAL(write_all(s, 1), 1);
		uint8_t *data = sent.item[0].data;
		size_t length = sent.item[0].length;

		data[wrong[i].at] = wrong[i].value;
		CU_ASSERT_EQUAL(probe_message_parse(data, length, &m), -EBADMSG);
		CU_ASSERT_EQUAL(probe_seal_make(&key, data, length - PROBE_SEAL_BYTES,
					data + length - PROBE_SEAL_BYTES),
			0);
		CU_ASSERT_EQUAL(probe_message_open(data, length, &key, &m), -EBADMSG);
	}
	free(s);
}

/* RFC 4231, test cases 1 and 2 (a key of 4 bytes). */
static void the_seal_is_that_of_the_rfc(void)
{
	static const uint8_t first[] = { 0xb0, 0x34, 0x4c, 0x61, 0xd8, 0xdb, 0x38, 0x53 };
	static const uint8_t second[] = { 0x5b, 0xdc, 0xc1, 0x46, 0xbf, 0x60, 0x75, 0x4e };
	struct probe_key k = { .length = 20 };
	uint8_t seal[PROBE_SEAL_BYTES];

	memset(k.bytes, 0x0b, k.length);
	CU_ASSERT_EQUAL(probe_seal_make(&k, "Hi There", 8, seal), 0);
	CU_ASSERT_EQUAL(memcmp(seal, first, sizeof(first)), 0);
	CU_ASSERT(probe_seal_matches(&k, "Hi There", 8, seal));
	k = (struct probe_key){ .bytes = "Jefe", .length = 4 };
	CU_ASSERT_FALSE(probe_seal_matches(&k, "Hi There", 8, seal));
	CU_ASSERT_EQUAL(probe_seal_make(&k, "what do ya want for nothing?", 28, seal), 0);
	CU_ASSERT_EQUAL(memcmp(seal, second, sizeof(second)), 0);
}

static int key_of(const char *path, const void *bytes, size_t length, mode_t mode)
{
	struct probe_key k;
	const char *why = NULL;
	FILE *to = fopen(path, "w");

	CU_ASSERT_FATAL(to != NULL);
	CU_ASSERT_EQUAL(fwrite(bytes, 1, length, to), length);
	fclose(to);
	CU_ASSERT_EQUAL(chmod(path, mode), 0);
	int err = probe_key_read(path, &k, &why);

	CU_ASSERT_EQUAL(err != 0, why != NULL);
	return err ? err : (int)k.length;
}

static void keys_come_from_files_that_are_not_everybodys(void)
{
	static uint8_t many[PROBE_KEY_MOST + 1];
	char folder[64], path[80];

	CU_ASSERT_FATAL(tap_folder(folder, sizeof(folder)));
	snprintf(path, sizeof(path), "%s/key", folder);
	memset(many, 'k', sizeof(many));
	CU_ASSERT_EQUAL(key_of(path, "0123456789abcdef\n", 17, 0600), 16);
	CU_ASSERT_EQUAL(key_of(path, "0123456789abcdef", 16, 0640), 16);
	CU_ASSERT_EQUAL(key_of(path, "0123456789abcde\n", 16, 0600), -EINVAL);
	CU_ASSERT_EQUAL(key_of(path, many, PROBE_KEY_MOST, 0600), PROBE_KEY_MOST);
	CU_ASSERT_EQUAL(key_of(path, many, PROBE_KEY_MOST + 1, 0600), -EINVAL);
	CU_ASSERT_EQUAL(key_of(path, "0123456789abcdef", 16, 0644), -EPERM);
	unlink(path);
	struct probe_key k;
	const char *why;

	CU_ASSERT_EQUAL(probe_key_read(path, &k, &why), -ENOENT);
	CU_ASSERT_EQUAL(probe_key_read(folder, &k, &why), -EINVAL);
	rmdir(folder);
}

static const struct tap_case cases[] = {
	{ "what is told is what was counted", what_is_told_is_what_was_counted },
	{ "what is too much for one datagram goes into several",
		what_is_too_much_for_one_goes_into_several },
	{ "a datagram that was changed anywhere is refused", all_that_was_changed_is_refused },
	{ "a sealed datagram against the layout is refused",
		what_is_against_the_layout_is_refused },
	{ "the seal is that of RFC 4231", the_seal_is_that_of_the_rfc },
	{ "keys come from files that are not everybody's",
		keys_come_from_files_that_are_not_everybodys },
};

TAP_MAIN("probe message", cases)
