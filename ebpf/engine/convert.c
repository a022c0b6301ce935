/* SPDX-License-Identifier: BSD-3-Clause */

#include "ebpf/engine/image.h"
#include "ebpf/engine/object_private.h"

#include <weir/policy_abi.h>

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What the handler copies when libbpf has finished the program. */
struct finished {
	struct bpf_insn *insns; /* owned */
	uint32_t insn_count;
	struct bpf_line_info *lines; /* owned */
	uint32_t line_count;
};

struct writer {
	struct bpf_object *object; /* owned */
	const struct btf *btf; /* borrowed from object */
	struct finished finished;
	uint8_t *bytes; /* the image */
	size_t room;
	size_t used;
	char *err;
	size_t err_size;
};

/* libbpf calls the handler without a pointer of ours; the child has one thread and one object. */
static struct finished *handler_result;

__attribute__((format(printf, 2, 3))) static int refuse(
	const struct writer *w, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(w->err, w->err_size, format, args);
	va_end(args);
	return -EINVAL;
}

static int take_finished(struct bpf_program *program, struct bpf_prog_load_opts *opts, long cookie)
{
	struct finished *f = handler_result;
	size_t n = bpf_program__insn_cnt(program);

	if (f->insns || n == 0 || n > POLICY_MAX_INSNS)
		return -E2BIG;
	f->insns = malloc(n * sizeof(*f->insns));
	f->lines = calloc(opts->line_info_cnt + 1, sizeof(*f->lines));
	if (!f->insns || !f->lines)
		return -ENOMEM;
	memcpy(f->insns, bpf_program__insns(program), n * sizeof(*f->insns));
	f->insn_count = (uint32_t)n;
	if (opts->line_info && opts->line_info_rec_size >= sizeof(*f->lines)) {
		f->line_count = opts->line_info_cnt;
		for (uint32_t i = 0; i < f->line_count; i++)
			memcpy(&f->lines[i],
				(const uint8_t *)opts->line_info +
					(size_t)i * opts->line_info_rec_size,
				sizeof(*f->lines));
	}
	/* That was all: nothing is to be loaded. */
	return -ECANCELED;
}

static int be_quiet(enum libbpf_print_level level, const char *format, va_list args)
{
	return 0;
}

/* Room for n bytes, aligned to 8; NULL when the image is full. */
static void *grow(struct writer *w, size_t n)
{
	size_t at = w->used;
	size_t whole = (n + 7) & ~(size_t)7;

	if (whole < n || whole > w->room - at)
		return NULL;
	memset(w->bytes + at, 0, whole);
	w->used += whole;
	return w->bytes + at;
}

static uint32_t offset_of(const struct writer *w, const void *p)
{
	return (uint32_t)((const uint8_t *)p - w->bytes);
}

/* A copy of a text without leading blanks; its offset, or 0. */
static uint32_t add_text(struct writer *w, const char *text)
{
	if (!text)
		text = "";
	text += strspn(text, " \t");
	char *copy = grow(w, strlen(text) + 1);

	if (!copy)
		return 0;
	memcpy(copy, text, strlen(text) + 1);
	return offset_of(w, copy);
}

static int check_programs(const struct writer *w, const char **ret_name)
{
	struct bpf_program *p;
	const char *first = NULL;

	bpf_object__for_each_program(p, w->object)
	{
		if (strcmp(bpf_program__section_name(p), WEIR_POLICY_SECTION) != 0)
			return refuse(w,
				"program %s lies in section \"%s\": a policy's object has "
				"one WEIR_POLICY() and no other program",
				bpf_program__name(p), bpf_program__section_name(p));
		if (first)
			return refuse(w,
				"two policies in one object: %s and %s; build one object "
				"for each",
				first, bpf_program__name(p));
		first = bpf_program__name(p);
		bpf_program__set_type(p, BPF_PROG_TYPE_LWT_IN);
	}
	if (!first)
		return refuse(w, "no policy in the object: write one with WEIR_POLICY(name)");
	*ret_name = first;
	return 0;
}

/* What would make libbpf do more than to compute. */
static int check_map(const struct writer *w, struct bpf_map *m)
{
	const char *name = bpf_map__name(m);

	if (strstr(name, ".kconfig"))
		return refuse(w, "the policy asks for the kernel's configuration; it may not");
	if (bpf_map__pin_path(m))
		return refuse(w,
			"map %s wants to be pinned; Weir keeps the maps of policies "
			"itself",
			name);
	if (bpf_map__inner_map(m))
		return refuse(w, "map %s is a map of maps; policies have plain ones", name);
	return 0;
}

static int check_maps(const struct writer *w)
{
	struct bpf_map *m;

	bpf_object__for_each_map(m, w->object)
	{
		int rc = check_map(w, m);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static int add_map(struct writer *w, struct bpf_map *m, struct policy_image_map *ret)
{
	const char *name = bpf_map__name(m);
	size_t size = 0;

	*ret = (struct policy_image_map){
		.type = bpf_map__type(m),
		.key_size = bpf_map__key_size(m),
		.value_size = bpf_map__value_size(m),
		.max_entries = bpf_map__max_entries(m),
		.map_flags = bpf_map__map_flags(m),
	};
	if (bpf_map__is_internal(m)) {
		/* "object.rodata": the object's name is of no use. */
		name = strchr(name, '.') ? strchr(name, '.') : name;
		const void *initial = bpf_map__initial_value(m, &size);
		void *copy = initial ? grow(w, size) : NULL;

		if (!copy)
			return refuse(w, "map %s is too large", name);
		memcpy(copy, initial, size);
		ret->initial_offset = offset_of(w, copy);
		ret->flags = POLICY_MAP_F_INITIAL;
		if (strncmp(name, ".rodata", 7) == 0)
			ret->flags |= POLICY_MAP_F_CONSTANT;
		ret->value_size = (uint32_t)size;
	}
	/* All arrays can be shared with the kernel. */
	if (ret->type == BPF_MAP_TYPE_ARRAY)
		ret->map_flags |= BPF_F_MMAPABLE;
	snprintf(ret->name, sizeof(ret->name), "%s", name);
	return 0;
}

static int add_maps(struct writer *w, struct policy_image *image)
{
	struct policy_image_map maps[POLICY_MAX_MAPS];
	struct bpf_map *m;
	uint32_t n = 0;

	bpf_object__for_each_map(m, w->object)
	{
		if (n == POLICY_MAX_MAPS)
			return refuse(w, "more than %d maps", POLICY_MAX_MAPS);
		int rc = add_map(w, m, &maps[n++]);
		if (rc < 0)
			return rc;
	}
	void *copy = grow(w, n * sizeof(maps[0]));
	if (!copy)
		return refuse(w, "the policy is too large");
	memcpy(copy, maps, n * sizeof(maps[0]));
	image->maps = offset_of(w, copy);
	image->map_count = n;
	return 0;
}

/* The type behind typedefs, const and volatile. */
static const struct btf_type *plain_type(const struct btf *btf, uint32_t id)
{
	const struct btf_type *t = btf__type_by_id(btf, id);

	for (unsigned int depth = 0; t && depth < 32; depth++) {
		if (!btf_is_mod(t) && !btf_is_typedef(t))
			return t;
		t = btf__type_by_id(btf, t->type);
	}
	return NULL;
}

static bool add_param(struct writer *w, uint32_t map, const struct btf_var_secinfo *v,
	struct policy_image_param *ret)
{
	const struct btf_type *var = btf__type_by_id(w->btf, v->type);
	const struct btf_type *t = var && btf_is_var(var) ? plain_type(w->btf, var->type) : NULL;
	bool number = t && (btf_is_int(t) || btf_is_enum(t) || btf_is_enum64(t));

	if (!number || (v->size != 1 && v->size != 2 && v->size != 4 && v->size != 8) ||
		btf_var(var)->linkage == BTF_VAR_STATIC)
		return false;
	*ret = (struct policy_image_param){
		.map = map,
		.offset = v->offset,
		.size = v->size,
		.is_signed = btf_is_int(t) && (btf_int_encoding(t) & BTF_INT_SIGNED),
	};
	snprintf(ret->name, sizeof(ret->name), "%s", btf__name_by_offset(w->btf, var->name_off));
	return ret->name[0] != 0;
}

static int add_params(struct writer *w, struct policy_image *image)
{
	struct policy_image_param *params = grow(w, 0);
	uint32_t n = 0;

	image->params = offset_of(w, params);
	for (uint32_t i = 0; i < image->map_count; i++) {
		struct policy_image_map *m = image_at(image, image->maps);
		int32_t id = btf__find_by_name_kind(w->btf, m[i].name, BTF_KIND_DATASEC);

		if (!(m[i].flags & POLICY_MAP_F_CONSTANT) || id < 0)
			continue;
		const struct btf_type *section = btf__type_by_id(w->btf, (uint32_t)id);

		for (uint32_t k = 0; k < btf_vlen(section) && n < POLICY_MAX_PARAMS; k++) {
			struct policy_image_param param;

			if (!add_param(w, i, btf_var_secinfos(section) + k, &param))
				continue;
			void *at = grow(w, sizeof(param));
			if (!at)
				return refuse(w, "the policy is too large");
			memcpy(at, &param, sizeof(param));
			n++;
		}
	}
	image->param_count = n;
	return 0;
}

static int add_lines(struct writer *w, struct policy_image *image)
{
	const struct finished *f = &w->finished;
	struct policy_image_line *lines = grow(w, f->line_count * sizeof(*lines));
	uint32_t file_before = 0, file_at = 0, n = 0;

	if (!lines)
		return refuse(w, "the policy is too large");
	for (uint32_t i = 0; i < f->line_count; i++) {
		const struct bpf_line_info *from = &f->lines[i];

		if (from->insn_off >= f->insn_count ||
			(n > 0 && from->insn_off <= lines[n - 1].insn))
			continue;
		if (file_at == 0 || from->file_name_off != file_before)
			file_at = add_text(w, btf__name_by_offset(w->btf, from->file_name_off));
		file_before = from->file_name_off;
		lines[n] = (struct policy_image_line){
			.insn = from->insn_off,
			.line = BPF_LINE_INFO_LINE_NUM(from->line_col),
			.column = BPF_LINE_INFO_LINE_COL(from->line_col),
			.file = file_at,
			.text = add_text(w, btf__name_by_offset(w->btf, from->line_off)),
		};
		if (lines[n].file == 0 || lines[n].text == 0)
			return refuse(w, "the policy is too large");
		n++;
	}
	image->lines = offset_of(w, lines);
	image->line_count = n;
	return 0;
}

static int write_image(struct writer *w, const char *name, size_t *ret_size)
{
	struct policy_image *image = grow(w, sizeof(*image));
	const struct finished *f = &w->finished;
	struct bpf_insn *insns = grow(w, f->insn_count * sizeof(*insns));

	if (!image || !insns)
		return refuse(w, "the policy is too large");
	memcpy(insns, f->insns, f->insn_count * sizeof(*insns));
	image->magic = POLICY_IMAGE_MAGIC;
	image->abi = WEIR_POLICY_ABI;
	image->insns = offset_of(w, insns);
	image->insn_count = f->insn_count;
	snprintf(image->name, sizeof(image->name), "%s", name);
	int rc = add_maps(w, image);
	if (rc == 0)
		rc = add_params(w, image);
	if (rc == 0)
		rc = add_lines(w, image);
	if (rc < 0)
		return rc;
	image->size = (uint32_t)w->used;
	*ret_size = w->used;
	return 0;
}

/* Everything up to the finished instructions. */
static int finish(struct writer *w, const void *bytes, size_t size, const char **ret_name)
{
	LIBBPF_OPTS(bpf_object_open_opts, open, .object_name = "policy");
	LIBBPF_OPTS(libbpf_prog_handler_opts, handler, .prog_prepare_load_fn = take_finished);
	LIBBPF_OPTS(gen_loader_opts, loader);

	libbpf_set_print(be_quiet);
	if (libbpf_register_prog_handler(WEIR_POLICY_SECTION, BPF_PROG_TYPE_LWT_IN, 0, &handler) <
		0)
		return refuse(w, "libbpf takes no handler");
	w->object = bpf_object__open_mem(bytes, size, &open);
	if (!w->object)
		return refuse(w, "libbpf cannot read the object file: %s", strerror(errno));
	w->btf = bpf_object__btf(w->object);
	if (!w->btf)
		return refuse(w, "the object's BTF cannot be read; build it with -g");
	int rc = check_programs(w, ret_name);
	if (rc < 0)
		return rc;
	rc = check_maps(w);
	if (rc < 0)
		return rc;
	if (bpf_object__gen_loader(w->object, &loader) < 0)
		return refuse(w, "libbpf cannot relocate without a kernel");
	handler_result = &w->finished;
	rc = bpf_object__load(w->object);
	handler_result = NULL;
	if (!w->finished.insns)
		return refuse(w, "libbpf cannot relocate the policy: %s",
			rc < 0 ? strerror(-rc) : "it has no instructions");
	return 0;
}

int object_to_image(const void *bytes, size_t size, void *image, size_t image_room,
	size_t *ret_image_size, char *err, size_t err_size)
{
	struct writer w = { .bytes = image, .room = image_room, .err = err, .err_size = err_size };
	const char *name = NULL;
	int rc = finish(&w, bytes, size, &name);

	if (rc == 0)
		rc = write_image(&w, name, ret_image_size);
	bpf_object__close(w.object);
	free(w.finished.insns);
	free(w.finished.lines);
	return rc;
}
