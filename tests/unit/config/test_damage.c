/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Example files, damaged at random: each either has complaints, all with a place in the file and in
 * order, or is a model that reads back from its own text.
 */

#include "tests/unit/config/config_text.h"

#include <errno.h>

#define ROUNDS 3000

static uint32_t seed;

static uint32_t next_random(uint32_t below)
{
	seed = seed * 1664525u + 1013904223u;
	return (uint32_t)((uint64_t)seed * below >> 32);
}

/* One of: a byte changed, a stretch removed, a stretch doubled, a word of YAML put in. */
static size_t damage(char *text, size_t length, size_t room)
{
	static const char *const words[] = { "{", "}", "[", "]", ": ", "- ", "\n", "\t", "&a ",
		"*a", "!!int ", "\"", "'", "#", "---\n", "null", "-1", "99999999999999999999",
		"0.5k", "any", "\xff", "\xe2\x80\xa8", "address: ", "port: ", "::1", "10.0.0.1/8",
		"version: 1\n" };
	size_t at = next_random((uint32_t)length);
	size_t stretch = 1 + next_random(40);
	size_t kind = next_random(4);
	if (stretch > length - at)
		stretch = length - at;
	if (kind == 0) {
		text[at] = (char)next_random(256);
	} else if (kind == 1 && length > stretch + 1) {
		memmove(text + at, text + at + stretch, length - at - stretch);
		length -= stretch;
	} else {
		const char *word = words[next_random(sizeof(words) / sizeof(words[0]))];
		char copy[64];
		size_t add = kind == 2 ? stretch : strlen(word);
		memcpy(copy, kind == 2 ? text + at : word, add);
		if (length + add < room) {
			memmove(text + at + add, text + at, length - at);
			memcpy(text + at, copy, add);
			length += add;
		}
	}
	return length;
}

static bool errors_are_sound(const struct model_errors *errors, size_t lines)
{
	bool sound = errors->count > 0;
	for (size_t i = 0; i < errors->count; i++) {
		const struct model_error *e = &errors->items[i];
		sound = sound && e->line >= 1 && e->line <= lines + 1 && e->column >= 1 &&
			strchr(e->text, '\n') == NULL && strstr(e->text, ": ") != NULL &&
			(i == 0 || e[-1].line <= e->line);
	}
	return sound;
}

static bool model_is_sound(const struct model *m)
{
	struct model *again = NULL;
	struct model_errors errors = { 0 };
	char *yaml = model_to_yaml(m);
	bool sound = yaml != NULL && model_parse(yaml, strlen(yaml), &again, &errors) == 0;
	sound = sound && model_digest(m) == model_digest(again);
	model_errors_fini(&errors);
	model_destroy(again);
	free(yaml);
	return sound;
}

static bool text_is_handled(const char *text, size_t length)
{
	struct model *m = NULL;
	struct model_errors errors = { 0 };
	size_t lines = 1;
	for (size_t i = 0; i < length; i++)
		lines += text[i] == '\n' || text[i] == '\r' || text[i] == '\x85' ||
			text[i] == '\xa8' || text[i] == '\xa9';
	int r = model_parse(text, length, &m, &errors);
	bool good = r == 0   ? model_is_sound(m) :
		r == -EINVAL ? errors_are_sound(&errors, lines) :
			       false;
	model_errors_fini(&errors);
	model_destroy(m);
	return good;
}

static void damage_file(const char *name)
{
	char path[512];
	char *text = malloc(1 << 16);
	size_t good = 0;
	snprintf(path, sizeof(path), "%s/config/%s.yaml", TEST_SOURCE_ROOT, name);
	char *original = text_of_file(path);
	for (uint32_t round = 1; round <= ROUNDS; round++) {
		size_t length = strlen(original);
		memcpy(text, original, length);
		seed = round;
		for (uint32_t edits = 1 + next_random(3); edits > 0; edits--)
			length = damage(text, length, 1 << 16);
		if (text_is_handled(text, length))
			good++;
		else
			fprintf(stderr, "# %s: seed %u is not handled:\n%.*s\n", name, round,
				(int)length, text);
	}
	CU_ASSERT_EQUAL(good, ROUNDS);
	free(original);
	free(text);
}

static void damage_full(void)
{
	damage_file("full");
}

static void damage_dsr(void)
{
	damage_file("dsr");
}

/* Every beginning of a file, as an editor that stops half way leaves it. */
static void cut_short(void)
{
	char *text = text_of_file(TEST_SOURCE_ROOT "/config/web-nat.yaml");
	size_t length = strlen(text);
	size_t good = 0;
	for (size_t cut = 0; cut < length; cut++)
		good += text_is_handled(text, cut);
	CU_ASSERT_EQUAL(good, length);
	free(text);
}

static const struct tap_case cases[] = {
	{ "damaged files of every key are complained about or read", damage_full },
	{ "damaged dsr files are complained about or read", damage_dsr },
	{ "files cut short are complained about or read", cut_short },
};

TAP_MAIN("damaged configurations", cases)
