/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/process/privileges.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Since Linux 5.8 and 5.8; older headers do not name them. */
#ifndef CAP_PERFMON
#define CAP_PERFMON 38
#endif
#ifndef CAP_BPF
#define CAP_BPF 39
#endif

#define BIT(capability) (UINT64_C(1) << (capability))

/*
 * NET_ADMIN and NET_RAW: AF_XDP sockets, their programs, promiscuity. BPF and PERFMON: load programs and make
 * maps. SYS_ADMIN: mount the instance's BPF file system, and find a map by its id. IPC_LOCK: pin packet
 * buffers beyond the limit for locked memory.
 */
#define KEPT                                                                       \
	(BIT(CAP_NET_ADMIN) | BIT(CAP_NET_RAW) | BIT(CAP_BPF) | BIT(CAP_PERFMON) | \
		BIT(CAP_SYS_ADMIN) | BIT(CAP_IPC_LOCK))

static int capabilities_set(uint64_t keep)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &header, data) < 0)
		return -errno;
	for (unsigned int i = 0; i < 2; i++) {
		data[i].permitted &= (uint32_t)(keep >> (32 * i));
		data[i].effective = data[i].permitted;
		data[i].inheritable = 0;
	}
	return syscall(SYS_capset, &header, data) < 0 ? -errno : 0;
}

static int bounding_set_reduce(uint64_t keep)
{
	/* Who may not change it has no privileges that it would bound. */
	if (prctl(PR_CAPBSET_READ, CAP_SETPCAP, 0, 0, 0) != 1)
		return 0;
	for (unsigned long i = 0; prctl(PR_CAPBSET_READ, i, 0, 0, 0) >= 0; i++)
		if (!(keep & BIT(i)) && prctl(PR_CAPBSET_DROP, i, 0, 0, 0) < 0 && errno != EPERM)
			return -errno;
	return 0;
}

int privileges_reduce(void)
{
	int rc = bounding_set_reduce(KEPT);

	(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	if (rc == 0)
		rc = capabilities_set(KEPT);
	if (rc == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		rc = -errno;
	return rc;
}

int privileges_end(void)
{
	return capabilities_set(0);
}
