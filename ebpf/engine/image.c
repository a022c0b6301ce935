/* SPDX-License-Identifier: BSD-3-Clause */

#include "ebpf/engine/image.h"

#include <weir/policy_abi.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct complaint {
	char *text;
	size_t size;
};

__attribute__((format(printf, 3, 4))) static int refuse(
	const struct complaint *c, int rc, const char *format, ...)
{
	va_list args;

	if (c->text && c->size) {
		va_start(args, format);
		vsnprintf(c->text, c->size, format, args);
		va_end(args);
	}
	return rc;
}

static bool inside(const struct policy_image *image, uint32_t offset, uint64_t bytes)
{
	return offset >= sizeof(*image) && offset % 8 == 0 && bytes <= image->size &&
		offset <= image->size - bytes;
}

static bool text_ok(const struct policy_image *image, uint32_t offset)
{
	return offset >= sizeof(*image) && offset < image->size &&
		memchr(image_at(image, offset), 0, image->size - offset) != NULL;
}

static bool name_ok(const char name[POLICY_NAME_SIZE])
{
	return name[0] != 0 && memchr(name, 0, POLICY_NAME_SIZE) != NULL;
}

const char *policy_map_type_name(uint32_t type)
{
	switch (type) {
	case BPF_MAP_TYPE_ARRAY:
		return "array";
	case BPF_MAP_TYPE_PERCPU_ARRAY:
		return "percpu_array";
	case BPF_MAP_TYPE_HASH:
		return "hash";
	case BPF_MAP_TYPE_LRU_HASH:
		return "lru_hash";
	case BPF_MAP_TYPE_LPM_TRIE:
		return "lpm_trie";
	default:
		return NULL;
	}
}

static bool map_flags_ok(const struct policy_image_map *m)
{
	uint32_t allowed = BPF_F_RDONLY_PROG | BPF_F_WRONLY_PROG;

	if (m->type == BPF_MAP_TYPE_ARRAY)
		allowed |= BPF_F_MMAPABLE;
	if (m->type == BPF_MAP_TYPE_HASH || m->type == BPF_MAP_TYPE_LPM_TRIE)
		allowed |= BPF_F_NO_PREALLOC;
	return (m->map_flags & ~allowed) == 0;
}

static int map_check(const struct policy_image *image, uint32_t index, const struct complaint *c)
{
	const struct policy_image_map *m = &image_maps(image)[index];
	bool array = m->type == BPF_MAP_TYPE_ARRAY || m->type == BPF_MAP_TYPE_PERCPU_ARRAY;
	uint32_t value_max = m->flags & POLICY_MAP_F_INITIAL ? 1u << 20 : POLICY_MAX_VALUE;

	if (!name_ok(m->name))
		return refuse(c, -EINVAL, "map %u has no name", index);
	if (!policy_map_type_name(m->type))
		return refuse(c, -EINVAL,
			"map %s is of type %u; policies may have arrays, per-CPU arrays, hashes, "
			"LRU hashes and LPM tries",
			m->name, m->type);
	if (!map_flags_ok(m))
		return refuse(c, -EINVAL, "map %s has flags %#x that policies may not use", m->name,
			m->map_flags);
	if (m->max_entries == 0 || m->value_size == 0 || m->value_size > value_max)
		return refuse(c, -EINVAL, "map %s: %u entries of %u bytes cannot be", m->name,
			m->max_entries, m->value_size);
	if (array && m->key_size != 4)
		return refuse(c, -EINVAL, "map %s: an array's key has 4 bytes, not %u", m->name,
			m->key_size);
	if (m->key_size == 0 || m->key_size > POLICY_MAX_KEY)
		return refuse(c, -EINVAL, "map %s: a key has 1 to %u bytes, not %u", m->name,
			POLICY_MAX_KEY, m->key_size);
	if (m->type == BPF_MAP_TYPE_LPM_TRIE && (m->key_size < 5 || m->key_size > 20))
		return refuse(c, -EINVAL,
			"map %s: the key of an LPM trie is 4 bytes of prefix length and 1 to 16 of "
			"prefix",
			m->name);
	if ((uint64_t)m->max_entries * (m->value_size + m->key_size + 32) > POLICY_MAX_MAP_BYTES)
		return refuse(c, -EINVAL, "map %s is larger than 4 GiB", m->name);
	if (!(m->flags & POLICY_MAP_F_INITIAL))
		return m->flags ? refuse(c, -EINVAL, "map %s: unknown flags", m->name) : 0;
	if (m->type != BPF_MAP_TYPE_ARRAY || m->max_entries != 1 ||
		!inside(image, m->initial_offset, m->value_size))
		return refuse(c, -EINVAL, "map %s: its first content is not there", m->name);
	return 0;
}

static int param_check(const struct policy_image *image, uint32_t index, const struct complaint *c)
{
	const struct policy_image_param *p = &image_params(image)[index];
	bool size_ok = p->size == 1 || p->size == 2 || p->size == 4 || p->size == 8;

	if (!name_ok(p->name) || !size_ok || p->map >= image->map_count)
		return refuse(c, -EINVAL, "parameter %u is not sound", index);
	const struct policy_image_map *m = &image_maps(image)[p->map];

	if (!(m->flags & POLICY_MAP_F_INITIAL) || p->offset > m->value_size ||
		p->size > m->value_size - p->offset)
		return refuse(c, -EINVAL, "parameter %s lies outside its map", p->name);
	return 0;
}

static int lines_check(const struct policy_image *image, const struct complaint *c)
{
	const struct policy_image_line *lines = image_lines(image);

	for (uint32_t i = 0; i < image->line_count; i++)
		if (lines[i].insn >= image->insn_count ||
			(i > 0 && lines[i].insn <= lines[i - 1].insn) ||
			!text_ok(image, lines[i].file) || !text_ok(image, lines[i].text))
			return refuse(c, -EINVAL, "line information %u is not sound", i);
	return 0;
}

int policy_image_check(const void *bytes, size_t size, char *err, size_t err_size)
{
	const struct complaint c = { err, err_size };
	const struct policy_image *image = bytes;

	if (size < sizeof(*image) || size > POLICY_MAX_IMAGE || image->size != size ||
		image->magic != POLICY_IMAGE_MAGIC)
		return refuse(&c, -EINVAL, "not a policy's image");
	if (image->abi != WEIR_POLICY_ABI)
		return refuse(&c, -EINVAL, "built for ABI version %u; this is version %u",
			image->abi, WEIR_POLICY_ABI);
	if (image->insn_count == 0 || image->insn_count > POLICY_MAX_INSNS)
		return refuse(&c, -EINVAL, "%u instructions; a policy has 1 to %u",
			image->insn_count, POLICY_MAX_INSNS);
	if (image->map_count > POLICY_MAX_MAPS)
		return refuse(&c, -EINVAL, "%u maps; a policy has at most %u", image->map_count,
			POLICY_MAX_MAPS);
	if (image->param_count > POLICY_MAX_PARAMS || image->line_count > POLICY_MAX_INSNS)
		return refuse(&c, -EINVAL, "too many parameters or lines");
	if (!name_ok(image->name) ||
		!inside(image, image->insns, image->insn_count * sizeof(struct bpf_insn)) ||
		!inside(image, image->maps, image->map_count * sizeof(struct policy_image_map)) ||
		!inside(image, image->params,
			image->param_count * sizeof(struct policy_image_param)) ||
		!inside(image, image->lines, image->line_count * sizeof(struct policy_image_line)))
		return refuse(&c, -EINVAL, "a part of the image lies outside of it");
	for (uint32_t i = 0; i < image->map_count; i++) {
		int rc = map_check(image, i, &c);
		if (rc < 0)
			return rc;
	}
	for (uint32_t i = 0; i < image->param_count; i++) {
		int rc = param_check(image, i, &c);
		if (rc < 0)
			return rc;
	}
	return lines_check(image, &c);
}

static const struct policy_image_param *param_find(
	const struct policy_image *image, const char *name, size_t length)
{
	const struct policy_image_param *p = image_params(image);

	for (uint32_t i = 0; i < image->param_count; i++)
		if (strlen(p[i].name) == length && memcmp(p[i].name, name, length) == 0)
			return &p[i];
	return NULL;
}

static uint8_t *param_bytes(const struct policy_image *image, const struct policy_image_param *p)
{
	return image_at(image, image_maps(image)[p->map].initial_offset + p->offset);
}

static bool fits(const struct policy_image_param *p, const char *text, uint64_t value)
{
	unsigned int bits = p->size * 8;

	if (text[0] == '-') {
		if (!p->is_signed || (int64_t)value > 0)
			return false;
		return bits == 64 || (int64_t)value >= -(INT64_C(1) << (bits - 1));
	}
	return bits - p->is_signed >= 64 || value >> (bits - p->is_signed) == 0;
}

int policy_image_set(struct policy_image *image, const char *assignment, char *err, size_t err_size)
{
	const struct complaint c = { err, err_size };
	const char *equals = strchr(assignment, '=');
	char *end;

	if (!equals || equals == assignment || equals[1] == 0)
		return refuse(&c, -EINVAL, "\"%s\" is not name=value", assignment);
	const char *text = equals + 1;
	const struct policy_image_param *p =
		param_find(image, assignment, (size_t)(equals - assignment));
	if (!p)
		return refuse(&c, -ENOENT, "the policy has no parameter \"%.*s\"",
			(int)(equals - assignment), assignment);
	errno = 0;
	uint64_t value = strtoull(text, &end, 0);
	if (*end != 0 || text[0] == ' ' || text[0] == '+')
		return refuse(&c, -EINVAL, "%s: \"%s\" is not a number", p->name, text);
	if (errno == ERANGE || !fits(p, text, value))
		return refuse(&c, -ERANGE, "%s: %s does not fit into %s %u bits", p->name, text,
			p->is_signed ? "signed" : "unsigned", p->size * 8);
	memcpy(param_bytes(image, p), &value, p->size);
	return 0;
}

int64_t policy_image_param(const struct policy_image *image, const struct policy_image_param *p)
{
	uint64_t value = 0;

	memcpy(&value, param_bytes(image, p), p->size);
	unsigned int shift = 64 - p->size * 8;
	return p->is_signed ? (int64_t)(value << shift) >> shift : (int64_t)value;
}

const struct policy_image_line *policy_image_line(const struct policy_image *image, uint32_t insn)
{
	const struct policy_image_line *lines = image_lines(image), *found = NULL;

	for (uint32_t i = 0; i < image->line_count && lines[i].insn <= insn; i++)
		found = &lines[i];
	return found;
}
