/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/config/model.h"
#include "tests/unit/config/complaints.h"
#include "tests/unit/tap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* BASE with one line replaced. malloc'ed. */
static char *base_change(unsigned int line, const char *replacement)
{
	const char *rest = BASE;
	char *text;
	if (line == 0)
		return strdup(replacement);
	for (unsigned int i = 1; i < line; i++)
		rest = strchr(rest, '\n') + 1;
	int before = (int)(rest - BASE);
	const char *end = strchr(rest, '\n');
	if (asprintf(&text, "%.*s%s%s", before, BASE, replacement, end ? end + 1 : "") < 0)
		return NULL;
	return text;
}

static char *errors_text(const struct model_errors *errors)
{
	char *text = NULL;
	size_t size;
	FILE *to = open_memstream(&text, &size);
	model_errors_print(to, "FILE", errors);
	fclose(to);
	return text;
}

static void expect_complaints(unsigned int line, const char *replacement, const char *expected)
{
	struct model *m = NULL;
	struct model_errors errors = { 0 };
	char *text = base_change(line, replacement);
	int r = model_parse(text, strlen(text), &m, &errors);
	CU_ASSERT_EQUAL(r, -EINVAL);
	CU_ASSERT_PTR_NULL(m);
	char *found = errors_text(&errors);
	char *wanted = NULL;
	size_t size;
	FILE *to = open_memstream(&wanted, &size);
	for (const char *at = expected, *next; *at != '\0'; at = next) {
		next = strchr(at, '\n') + 1;
		fprintf(to, "FILE:%.*s", (int)(next - at), at);
	}
	fclose(to);
	CU_ASSERT_STRING_EQUAL(found, wanted);
	if (strcmp(found, wanted) != 0)
		fprintf(stderr, "# found:\n%s# wanted:\n%s", found, wanted);
	free(found);
	free(wanted);
	free(text);
	model_errors_fini(&errors);
	model_destroy(m);
}

#define X(id, sentence, line, replacement, expected)            \
	static void complaint_##id(void)                        \
	{                                                       \
		expect_complaints(line, replacement, expected); \
	}
FORM_CASES(X)
VALUE_CASES(X)
POLICY_CASES(X)
ADAPT_CASES(X)
RULE_CASES(X)
#undef X

static void base_is_good(void)
{
	struct model *m = NULL;
	struct model_errors errors = { 0 };
	CU_ASSERT_EQUAL(model_parse(BASE, strlen(BASE), &m, &errors), 0);
	model_destroy(m);
}

static void expect_first(const char *text, size_t length, const char *expected)
{
	struct model *m = NULL;
	struct model_errors errors = { 0 };
	CU_ASSERT_EQUAL_FATAL(model_parse(text, length, &m, &errors), -EINVAL);
	CU_ASSERT_STRING_EQUAL(errors.items[0].text, expected);
	model_errors_fini(&errors);
}

static void huge_file(void)
{
	size_t length = ((size_t)16 << 20) + 1;
	char *text = malloc(length);
	memset(text, '#', length);
	expect_first(text, length, "file: has 16777217 bytes, expected at most 16 MiB");
	free(text);
}

static void many_values(void)
{
	size_t length = (size_t)4 << 20;
	char *text = malloc(length);
	memcpy(text, "ports: [", 8);
	for (size_t i = 8; i < length; i += 2)
		memcpy(text + i, "1,", 2);
	expect_first(text, length, "ports: the file has more than 1048576 values, expected fewer");
	free(text);
}

static void zero_byte(void)
{
	static const char text[] = "version: 1\0\n";
	expect_first(text, sizeof(text) - 1,
		"file: has a byte 0x00 here, expected a text in UTF-8 without control characters");
}

static void many_errors(void)
{
	struct model *m = NULL;
	struct model_errors errors = { 0 };
	char *text = NULL;
	size_t size;
	FILE *to = open_memstream(&text, &size);
	fputs("version: 1\nports: [{name: a, device: b}]\n", to);
	for (int i = 0; i < 1500; i++)
		fprintf(to, "key%d: 1\n", i);
	fclose(to);
	CU_ASSERT_EQUAL_FATAL(model_parse(text, size, &m, &errors), -EINVAL);
	CU_ASSERT_EQUAL_FATAL(errors.count, 1001);
	CU_ASSERT_EQUAL(errors.items[0].line, 3);
	CU_ASSERT_STRING_EQUAL(errors.items[1000].text,
		"file: has 500 more errors that are not shown, expected fewer");
	model_errors_fini(&errors);
	free(text);
}

/* Would be 10^9 values if aliases were followed. */
static void billion_laughs(void)
{
	static const char text[] = "a: &a [x,x,x,x,x,x,x,x,x,x]\n"
				   "b: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\n"
				   "c: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\n";
	expect_first(text, sizeof(text) - 1,
		"a: anchors (&name) are not supported, expected the value alone");
}

#define X(id, sentence, line, replacement, expected) { sentence, complaint_##id },

static const struct tap_case cases[] = {
	{ "the base file of these cases is good", base_is_good },
	FORM_CASES(X) VALUE_CASES(X) POLICY_CASES(X) ADAPT_CASES(X)
		RULE_CASES(X){ "a file over 16 MiB is refused", huge_file },
	{ "a file of more than a million values is refused", many_values },
	{ "a zero byte is refused", zero_byte },
	{ "more than a thousand complaints are summed up", many_errors },
	{ "anchors within anchors are harmless", billion_laughs },
};

TAP_MAIN("configuration complaints", cases)
