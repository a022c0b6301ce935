/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The XDP program on an interface: loaded, attached by a link that ends with its last holder
 * (ebpf/kernel/links.h), its maps pinned for the daemon. Main thread.
 */

#ifndef WEIR_PORT_XDP_PROGRAM_H
#define WEIR_PORT_XDP_PROGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct port_link;
struct steering_hold;
struct steering_judge;
struct xdp_program;

/*
 * Load and attach, in native mode where the driver can, else in generic mode. Nothing is redirected
 * until somebody fills the maps.
 *
 * heir_of  NULL, or the program of an interface that is gone: its maps, as they are filled, and its
 *          pins become the new one's
 * orphan   NULL, or the link that a killed predecessor left on this interface: the new program takes the
 *          old one's place in one step, with its maps; the descriptors are taken over on success
 * owner    port_link_owner() of this instance
 * pin_dir  folder for the pins, in a bpffs; what an earlier process left there is replaced
 * mac      frames to other addresses are the kernel's
 *
 * Returns 0 or -errno with the reason in err (-EBUSY: another program is there).
 */
int xdp_program_attach(uint32_t ifindex, const char *pin_dir, const uint8_t mac[6], uint64_t owner,
	struct xdp_program *heir_of, struct port_link *orphan, struct xdp_program **ret_program,
	char *err, size_t err_size);

/* Detach, whoever else holds the link; unpin, close. NULL is fine. */
void xdp_program_detach(struct xdp_program *x);

/* What judges in the kernel dropped: STEERING_MAX_JUDGES of them, until the program is detached. Any thread. */
const struct steering_judge *xdp_program_judges(const struct xdp_program *x);
/* Whose packets it holds back: STEERING_HOLDS of them, until the program is detached. Core 0's to write. */
struct steering_hold *xdp_program_holds(const struct xdp_program *x);
bool xdp_program_is_generic(const struct xdp_program *x); /* not native: slower */
int xdp_program_set_mac(struct xdp_program *x, const uint8_t mac[6]);
int xdp_program_move_pins(struct xdp_program *x, const char *pin_dir);
void xdp_program_unpin(struct xdp_program *x);

#endif
