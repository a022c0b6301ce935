/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The fuzz harnesses without a fuzzer: give them every file of a corpus folder, and every beginning of
 * it (truncated input is what parsers get wrong first). Prints TAP, a case a file. Each input is a heap
 * block of its exact size, so that valgrind and ASan see a read behind the end.
 */

#include "tests/fuzz/fuzz.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <string.h>

/* Long inputs are cut at this many places at most; all of their first bytes are among them. */
#define CUTS_MAX 512

static int file_read(const char *path, uint8_t **ret_data, size_t *ret_size)
{
	FILE *f = fopen(path, "rb");
	if (!f)
		return -errno;
	int rc = -EIO;
	uint8_t *data = NULL;
	if (fseek(f, 0, SEEK_END))
		goto out;
	long size = ftell(f);
	if (size < 0 || fseek(f, 0, SEEK_SET))
		goto out;
	data = malloc(size ? (size_t)size : 1);
	if (!data || fread(data, 1, (size_t)size, f) != (size_t)size)
		goto out;
	*ret_data = data;
	*ret_size = (size_t)size;
	data = NULL;
	rc = 0;
out:
	free(data);
	fclose(f);
	return rc;
}

static void input_run(const uint8_t *data, size_t size)
{
	uint8_t *exact = malloc(size ? size : 1);
	FUZZ_CHECK(exact);
	memcpy(exact, data, size);
	FUZZ_CHECK(LLVMFuzzerTestOneInput(exact, size) == 0);
	free(exact);
}

static int seed_run(const char *path)
{
	uint8_t *data = NULL;
	size_t size = 0;
	int rc = file_read(path, &data, &size);
	if (rc)
		return rc;
	input_run(data, size);
	for (size_t cut = 0; cut < size && cut < CUTS_MAX; cut++)
		input_run(data, cut);
	free(data);
	return 0;
}

static int is_seed(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

int main(int argc, char **argv)
{
	struct dirent **seeds;
	int count = argc == 2 ? scandir(argv[1], &seeds, is_seed, alphasort) : -1;
	int failed = 0;

	if (count <= 0) {
		fprintf(stderr, "usage: %s FOLDER_WITH_SEEDS (at least one)\n", argv[0]);
		return 2;
	}
	printf("1..%d\n", count);
	for (int i = 0; i < count; i++) {
		char path[PATH_MAX];
		snprintf(path, sizeof(path), "%s/%s", argv[1], seeds[i]->d_name);
		/* On a crash this is the last line, and names the reproducer. */
		printf("# %s\n", path);
		fflush(stdout);
		int rc = seed_run(path);
		printf("%sok %d - %s and every beginning of it are handled\n", rc ? "not " : "",
			i + 1, seeds[i]->d_name);
		if (rc)
			printf("# %s\n", strerror(-rc));
		failed |= rc != 0;
		free(seeds[i]);
	}
	free(seeds);
	return failed;
}
