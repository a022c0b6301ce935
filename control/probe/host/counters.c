/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/probe/host/counters.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wcast-qual" /* in what bpftool generates */
#include "weir_probe.skel.h"
#pragma GCC diagnostic pop

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/vfs.h>
#include <unistd.h>

struct counters {
	struct weir_probe_bpf *bpf; /* owned, with its links */
	struct probe_figures *each; /* owned; of one service by CPU */
	size_t cpus;
};

static const char *const usual_cgroups[] = { "/sys/fs/cgroup", "/sys/fs/cgroup/unified" };

/* Of libbpf what goes wrong is of interest, not what it tries. */
__attribute__((format(printf, 2, 0))) static int print(
	enum libbpf_print_level level, const char *format, va_list arguments)
{
	return level == LIBBPF_WARN ? vfprintf(stderr, format, arguments) : 0;
}

static int cgroup_open(const char *folder)
{
	struct statfs fs;
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	if (fstatfs(fd, &fs) < 0 || (unsigned long)fs.f_type != CGROUP2_SUPER_MAGIC) {
		close(fd);
		return -EINVAL;
	}
	return fd;
}

static int cgroup_find(const char *cgroup)
{
	int fd = -ENOENT;

	if (cgroup) {
		fd = cgroup_open(cgroup);
		if (fd < 0)
			fprintf(stderr,
				"weir-probe: --cgroup %s: %s, expected a folder of cgroup version 2\n",
				cgroup, strerror(-fd));
		return fd;
	}
	for (size_t i = 0; fd < 0 && i < sizeof(usual_cgroups) / sizeof(usual_cgroups[0]); i++)
		fd = cgroup_open(usual_cgroups[i]);
	if (fd < 0)
		fputs("weir-probe: no cgroup file system of version 2 is mounted at /sys/fs/cgroup; "
		      "mount one (mount -t cgroup2 none FOLDER) and say --cgroup FOLDER\n",
			stderr);
	return fd;
}

static int attach(struct weir_probe_bpf *bpf, int cgroup)
{
	struct bpf_program *const programs[] = { bpf->progs.probe_ingress, bpf->progs.probe_egress,
		bpf->progs.probe_sock_ops };
	struct bpf_link **const links[] = { &bpf->links.probe_ingress, &bpf->links.probe_egress,
		&bpf->links.probe_sock_ops };

	for (size_t i = 0; i < 3; i++) {
		*links[i] = bpf_program__attach_cgroup(programs[i], cgroup);
		if (!*links[i]) {
			int err = -errno;

			fprintf(stderr, "weir-probe: %s cannot be attached: %s\n",
				bpf_program__name(programs[i]), strerror(-err));
			return err;
		}
	}
	return 0;
}

static int services_fill(
	struct weir_probe_bpf *bpf, const struct probe_service_key *services, size_t count)
{
	int fd = bpf_map__fd(bpf->maps.probe_services);

	for (uint32_t i = 0; i < count; i++)
		if (bpf_map_update_elem(fd, &services[i], &i, BPF_NOEXIST) < 0)
			return -errno;
	return 0;
}

int counters_start(const char *cgroup, const struct probe_service_key *services, size_t count,
	struct counters **ret_counters)
{
	/* Kernels before 5.11 count maps against this. */
	const struct rlimit all = { RLIM_INFINITY, RLIM_INFINITY };
	int err = -ENOMEM, cpus = libbpf_num_possible_cpus();
	int fd = cgroup_find(cgroup);
	struct counters *c = calloc(1, sizeof(*c));

	if (fd < 0) {
		free(c);
		return fd;
	}
	libbpf_set_print(print);
	setrlimit(RLIMIT_MEMLOCK, &all);
	if (!c || cpus < 1)
		goto out;
	c->cpus = (size_t)cpus;
	c->each = calloc(c->cpus, sizeof(*c->each));
	if (!c->each)
		goto out;
	c->bpf = weir_probe_bpf__open_and_load();
	if (!c->bpf) {
		err = -errno;
		fprintf(stderr,
			"weir-probe: the kernel does not take the programs: %s; they need Linux 5.12 "
			"and CAP_BPF and CAP_NET_ADMIN\n",
			strerror(-err));
		goto out;
	}
	err = services_fill(c->bpf, services, count);
	if (!err)
		err = attach(c->bpf, fd);
out:
	close(fd);
	if (err) {
		counters_stop(c);
		return err;
	}
	*ret_counters = c;
	return 0;
}

void counters_stop(struct counters *c)
{
	if (!c)
		return;
	weir_probe_bpf__destroy(c->bpf);
	free(c->each);
	free(c);
}

static void figures_add(struct probe_figures *to, const struct probe_figures *from)
{
	to->connect_ns += from->connect_ns;
	to->first_byte_ns += from->first_byte_ns;
	to->requests += from->requests;
	to->syns += from->syns;
	to->waiting += from->waiting;
	to->open += from->open;
	for (unsigned int i = 0; i < WEIR_HIST_BUCKETS; i++) {
		to->connect[i] += from->connect[i];
		to->first_byte[i] += from->first_byte[i];
	}
}

int counters_read(struct counters *c, size_t index, struct probe_figures *ret_figures)
{
	uint32_t key = (uint32_t)index;

	if (bpf_map_lookup_elem(bpf_map__fd(c->bpf->maps.probe_figures), &key, c->each) < 0)
		return -errno;
	memset(ret_figures, 0, sizeof(*ret_figures));
	for (size_t i = 0; i < c->cpus; i++)
		figures_add(ret_figures, &c->each[i]);
	return 0;
}
