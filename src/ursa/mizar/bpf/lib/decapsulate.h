/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Stages: recognise a tunnel packet, and take the tunnel off. */
#pragma once

#include "drop.h"
#include "encapsulate.h"
#include "geneve.h"
#include "node.h"
#include "packet.h"

/* Whatever is no tunnel packet for this node belongs to the host.
 *
 * Reads    outer Ethernet, IPv4, UDP.
 * Writes   pkt->outer. No packet bytes.
 * Returns  NEXT, VERDICT_PASS, or drop(DROP_OUTER_FRAGMENT).
 */
static __always_inline int parse_outer(struct packet *pkt)
{
	struct tunnel *outer = view_tunnel(pkt->ctx);

	if (!outer || pkt->ctx->protocol != bpf_htons(ETH_P_IP) || outer->ip.version != 4 ||
	    outer->ip.ihl != sizeof(struct iphdr) / 4 || outer->ip.protocol != IPPROTO_UDP ||
	    outer->ip.daddr != node.ip || (outer->ip.frag_off & bpf_htons(IP_FRAGMENT_OFFSET)) ||
	    outer->udp.dest != bpf_htons(GENEVE_PORT))
		return VERDICT_PASS;
	if (outer->ip.frag_off & bpf_htons(IP_MORE_FRAGMENTS))
		return drop(DROP_OUTER_FRAGMENT);
	pkt->outer.saddr = outer->ip.saddr;
	pkt->outer.sport = outer->udp.source;
	return NEXT;
}

/* Reads    the Geneve header.
 * Writes   pkt->vni, pkt->inner_at. No packet bytes.
 * Returns  NEXT, or drop(DROP_TRUNCATED, DROP_BAD_GENEVE).
 */
static __always_inline int parse_geneve(struct packet *pkt)
{
	struct tunnel *outer = view_tunnel(pkt->ctx);

	if (!outer)
		return drop(DROP_TRUNCATED);
	if (GENEVE_VERSION(outer->geneve.length) != 0 ||
	    outer->geneve.protocol != bpf_htons(GENEVE_ETHERNET) ||
	    (outer->geneve.flags & (GENEVE_CONTROL | GENEVE_CRITICAL)))
		return drop(DROP_BAD_GENEVE);
	pkt->vni = bpf_htonl(bpf_ntohl(outer->geneve.vni) >> 8);
	pkt->inner_at = ETH_HLEN + sizeof(*outer) + GENEVE_OPTIONS(outer->geneve.length);
	return NEXT;
}

/* The inner Ethernet header takes the outer one's place; gso_size and a partial checksum survive.
 *
 * Reads    pkt->inner_at.
 * Writes   removes everything before the inner frame.
 * Returns  NEXT, or drop(DROP_TRUNCATED, DROP_DECAPSULATION).
 */
static __always_inline int decapsulate(struct packet *pkt)
{
	__u32 at = pkt->inner_at & 0x1ff;
	struct ethhdr inner_eth, *eth;
	void *data = view(pkt->ctx, at + sizeof(*eth));

	if (!data)
		return drop(DROP_TRUNCATED);
	eth = data + at;
	if ((void *)(eth + 1) > frame_end(pkt->ctx))
		return drop(DROP_TRUNCATED);
	inner_eth = *eth;
	if (bpf_skb_adjust_room(pkt->ctx, -(__s32)at, BPF_ADJ_ROOM_MAC, BPF_F_ADJ_ROOM_FIXED_GSO))
		return drop(DROP_DECAPSULATION);
	eth = view(pkt->ctx, sizeof(*eth));
	if (!eth)
		return drop(DROP_TRUNCATED);
	*eth = inner_eth;
	return NEXT;
}
