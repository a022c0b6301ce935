/* SPDX-License-Identifier: BSD-3-Clause */

#include "ebpf/engine/object.h"

#include <weir/policy_abi.h>

#include <elf.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define MAX_SECTIONS 4096

struct elf {
	const uint8_t *bytes;
	size_t size;
	Elf64_Ehdr head;
	Elf64_Shdr names;
	char *err;
	size_t err_size;
};

__attribute__((format(printf, 2, 3))) static int refuse(
	const struct elf *e, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(e->err, e->err_size, format, args);
	va_end(args);
	return -EINVAL;
}

static bool inside(const struct elf *e, uint64_t offset, uint64_t bytes)
{
	return bytes <= e->size && offset <= e->size - bytes;
}

static int head_check(struct elf *e)
{
	const Elf64_Ehdr *h = &e->head;

	if (e->size < sizeof(*h) || memcmp(e->bytes, ELFMAG, SELFMAG) != 0)
		return refuse(e,
			"not an object file; build it with clang -O2 -g -target bpf "
			"-mcpu=v3 -c");
	memcpy(&e->head, e->bytes, sizeof(*h));
	if (h->e_ident[EI_CLASS] != ELFCLASS64 || h->e_machine != EM_BPF || h->e_type != ET_REL)
		return refuse(
			e, "an object file, but not for BPF; build it with clang -target bpf");
	if (h->e_ident[EI_DATA] != ELFDATA2LSB)
		return refuse(
			e, "a big-endian object; Weir runs little-endian ones (-target bpfel)");
	if (h->e_shentsize != sizeof(Elf64_Shdr) || h->e_shnum == 0 || h->e_shnum > MAX_SECTIONS ||
		h->e_shstrndx >= h->e_shnum ||
		!inside(e, h->e_shoff, (uint64_t)h->e_shnum * sizeof(Elf64_Shdr)))
		return refuse(e,
			"the object file is cut off or damaged: its section table lies "
			"outside of it");
	return 0;
}

static void section_at(const struct elf *e, uint32_t index, Elf64_Shdr *ret)
{
	memcpy(ret, e->bytes + e->head.e_shoff + (uint64_t)index * sizeof(*ret), sizeof(*ret));
}

/* NULL when it does not lie in the table of names. */
static const char *section_name(const struct elf *e, const Elf64_Shdr *s)
{
	if (s->sh_name >= e->names.sh_size)
		return NULL;
	const char *name = (const char *)e->bytes + e->names.sh_offset + s->sh_name;

	return memchr(name, 0, e->names.sh_size - s->sh_name) ? name : NULL;
}

static int abi_check(const struct elf *e, const Elf64_Shdr *s)
{
	uint32_t version;

	if (s->sh_size < sizeof(version))
		return refuse(e, "section %s is empty", WEIR_POLICY_ABI_SECTION);
	memcpy(&version, e->bytes + s->sh_offset, sizeof(version));
	if (version != WEIR_POLICY_ABI)
		return refuse(e,
			"built for version %u of the policy ABI; this Weir has version %u: build "
			"it again with its headers",
			version, WEIR_POLICY_ABI);
	return 0;
}

static int sections_check(const struct elf *e)
{
	bool abi = false, btf = false;

	for (uint32_t i = 1; i < e->head.e_shnum; i++) {
		Elf64_Shdr s;

		section_at(e, i, &s);
		const char *name = section_name(e, &s);

		if (!name || (s.sh_type != SHT_NOBITS && !inside(e, s.sh_offset, s.sh_size)))
			return refuse(e,
				"the object file is cut off or damaged: section %u lies "
				"outside of it",
				i);
		if (s.sh_size > POLICY_MAX_OBJECT)
			return refuse(e, "section %s is larger than 4 MiB", name);
		btf |= strcmp(name, ".BTF") == 0;
		if (strcmp(name, WEIR_POLICY_ABI_SECTION) != 0 || s.sh_type == SHT_NOBITS)
			continue;
		int rc = abi_check(e, &s);
		if (rc < 0)
			return rc;
		abi = true;
	}
	if (!abi)
		return refuse(e,
			"not a policy: it was not written with WEIR_POLICY() of "
			"<weir/policy.h>");
	if (!btf)
		return refuse(e,
			"the object has no BTF, so nobody could say which line is wrong; "
			"build it with -g");
	return 0;
}

int policy_elf_check(const void *bytes, size_t size, char *err, size_t err_size)
{
	struct elf e = { .bytes = bytes, .size = size, .err = err, .err_size = err_size };
	int rc = head_check(&e);

	if (rc < 0)
		return rc;
	section_at(&e, e.head.e_shstrndx, &e.names);
	if (e.names.sh_type != SHT_STRTAB || !inside(&e, e.names.sh_offset, e.names.sh_size))
		return refuse(&e,
			"the object file is cut off or damaged: it has no names of "
			"sections");
	return sections_check(&e);
}
