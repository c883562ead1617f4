/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The wire: Geneve over UDP over IPv4 (RFC 8926), 50 bytes around the inner Ethernet frame.
 *
 *   outer Ethernet 14 │ IPv4 20 │ UDP 8 │ Geneve 8 │ inner Ethernet 14 │ inner packet
 *
 * We send no options; received ones are stepped over, unless one is critical.
 * The UDP source port carries two things: its low 14 bits spread flows over paths and queues, its
 * high 2 bits count down the forwardings that are left, so that no disagreement between hosts can
 * make a packet circle:
 *   3  from the agent      (49152..65535, the range of RFC 8926, 3.3)
 *   2  not here: from there on to a bouncer
 *   1  from a bouncer to the owner; delivered or dropped
 */
#pragma once

#include "packet.h"

#define GENEVE_PORT	6081
#define GENEVE_ETHERNET	0x6558	/* protocol type: transparent Ethernet bridging */
#define OVERHEAD_BYTES	50	/* what MTUs must leave: outer IPv4, UDP, Geneve, inner Ethernet */

#define HOPS_SHIFT	14
#define ENTROPY_MASK	0x3fff
#define HOPS_FRESH	3
#define HOPS_RETURNED	2
#define HOPS_BOUNCED	1

struct geneve {
	__u8 length;	/* version in 2 bits, options in words of 4 bytes in 6 */
	__u8 flags;
	__be16 protocol;
	__be32 vni;	/* 24 bits, then 8 reserved */
};

struct tunnel {	/* what stands between the outer and the inner Ethernet header */
	struct iphdr ip;
	struct udphdr udp;
	struct geneve geneve;
};
_Static_assert(sizeof(struct tunnel) + ETH_HLEN == OVERHEAD_BYTES, "50 bytes of overhead");

#define GENEVE_VERSION(length)	((length) >> 6)
#define GENEVE_OPTIONS(length)	(((length) & 0x3f) * 4)
#define GENEVE_CONTROL	0x80	/* flags: a control packet */
#define GENEVE_CRITICAL	0x40	/* flags: an option that we must know, and know none */

/* Returns the tunnel headers of a frame, or NULL if it is too short for them. */
static __always_inline struct tunnel *view_tunnel(hook_ctx *ctx)
{
	void *frame = view(ctx, ETH_HLEN + sizeof(struct tunnel));

	return frame ? frame + ETH_HLEN : NULL;
}
