/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Stages: find whose interface this is, and let nobody send in another's name.
 *
 * The table is an array, because every frame reads it and a hash costs 24 ns more. Its index is
 * the low bits of ifindex, which grows for ever: the row holds the whole, and of two interfaces with
 * equal low bits the second is refused at attachment.
 */
#pragma once

#include "drop.h"
#include "packet.h"

#define ATTACHMENTS_MAX	(1 << 14)	/* endpoints of a node: 640 KiB */
#define ATTACHMENT_TAP	1		/* flags: not a veth */
#define INTERFACE_MAX	16		/* IFNAMSIZ */

struct attachment {
	__u32 ifindex;	/* 0: none */
	__be32 vni;
	__be32 ip;
	__u8 mac[ETH_ALEN];
	__u16 flags;
	__u8 interface[INTERFACE_MAX];	/* its name, for the daemon */
	__u32 pad;
};
_Static_assert(sizeof(struct attachment) == 40, "no implicit padding in map values");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);	/* ifindex % ATTACHMENTS_MAX */
	__type(value, struct attachment);
	__uint(max_entries, ATTACHMENTS_MAX);
} attachments SEC(".maps");

static __always_inline int same_mac(const __u8 *a, const __u8 *b)
{
	return !((a[0] ^ b[0]) | (a[1] ^ b[1]) | (a[2] ^ b[2]) |
		 (a[3] ^ b[3]) | (a[4] ^ b[4]) | (a[5] ^ b[5]));
}

/* Reads    ctx->ifindex; map attachments; the Ethernet header.
 * Writes   pkt->source, pkt->vni. No packet bytes.
 * Returns  NEXT, or drop(DROP_NOT_ATTACHED, DROP_TRUNCATED, DROP_SPOOFED_MAC).
 */
static __always_inline int find_source(struct packet *pkt)
{
	__u32 ifindex = pkt->ctx->ifindex, slot = ifindex % ATTACHMENTS_MAX;
	struct attachment *source = bpf_map_lookup_elem(&attachments, &slot);
	struct ethhdr *eth;

	if (!source || source->ifindex != ifindex)
		return drop(DROP_NOT_ATTACHED);
	eth = view(pkt->ctx, sizeof(*eth));
	if (!eth)
		return drop(DROP_TRUNCATED);
	if (!same_mac(eth->h_source, source->mac))
		return drop(DROP_SPOOFED_MAC);
	pkt->source = source;
	pkt->vni = source->vni;
	return NEXT;
}

/* Reads    pkt->inner, pkt->source.
 * Writes   nothing.
 * Returns  NEXT, or drop(DROP_SPOOFED_IP).
 */
static __always_inline int check_source(struct packet *pkt)
{
	return pkt->inner.saddr == pkt->source->ip ? NEXT : drop(DROP_SPOOFED_IP);
}
