/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Stage: wrap the frame for its host and send it out of the uplink.
 *
 * The kernel's neighbour table fills in the outer Ethernet header, so routed underlays and a peer
 * whose MAC changes need nobody's help.
 *
 * Reads    pkt->peer, pkt->vni, pkt->inner; map peers.
 * Writes   50 bytes in front; the inner frame is untouched, GSO and partial checksum included.
 * Returns  the redirect, or drop(DROP_NO_PEER, DROP_TRUNCATED, DROP_TOO_BIG, DROP_NESTED_GSO,
 *          DROP_ENCAPSULATION).
 */
#pragma once

#include "attachment.h"
#include "drop.h"
#include "geneve.h"
#include "network.h"
#include "node.h"
#include "packet.h"
#include "peer.h"

#define OUTER_TTL	64
#define EALREADY	114

/* Without FIXED_GSO segments shrink on a real wire and UDP GSO is refused; without the ENCAP flags
 * every GSO frame is dropped when the underlay transmits (Linux 6.18).
 */
#define GROW_FLAGS	BPF_F_ADJ_ROOM_FIXED_GSO
#define ENCAP_FLAGS	(GROW_FLAGS | BPF_F_ADJ_ROOM_ENCAP_L3_IPV4 | BPF_F_ADJ_ROOM_ENCAP_L4_UDP | \
			 BPF_F_ADJ_ROOM_ENCAP_L2(ETH_HLEN) | BPF_F_ADJ_ROOM_ENCAP_L2_ETH)


/* Returns 14 bits that differ between flows. The skb's own hash is no help: computing one where
 * none is costs 90 ns.
 */
static __always_inline __u16 entropy(const struct packet *pkt)
{
	return mix(mix(pkt->inner.saddr, pkt->inner.daddr), pkt->inner.ports ^ pkt->inner.protocol) &
	       ENTROPY_MASK;
}

static __always_inline __sum16 ip_checksum(const struct iphdr *ip)
{
	const __u16 *word = (const void *)ip;
	__u32 sum = 0;

#pragma unroll
	for (int i = 0; i < (int)sizeof(*ip) / 2; i++)
		sum += word[i];
	return fold(sum);
}

/* Grows the frame behind its Ethernet header. A frame that the endpoint's own tunnel has marked as
 * encapsulated cannot be marked again (EALREADY); it needs no mark unless it is GSO.
 */
static __always_inline int grow(hook_ctx *ctx)
{
	long fault = bpf_skb_adjust_room(ctx, OVERHEAD_BYTES, BPF_ADJ_ROOM_MAC, ENCAP_FLAGS);

	if (fault == -EALREADY) {
		if (ctx->gso_size)
			return drop(DROP_NESTED_GSO);
		fault = bpf_skb_adjust_room(ctx, OVERHEAD_BYTES, BPF_ADJ_ROOM_MAC, GROW_FLAGS);
	}
	return fault ? drop(DROP_ENCAPSULATION) : NEXT;
}

static __always_inline int encapsulate(struct packet *pkt)
{
	__u32 length = pkt->ctx->len + sizeof(struct tunnel);
	__be32 host = peer_ip(pkt->peer);
	struct ethhdr inner_eth, *eth;
	struct tunnel *outer;
	int verdict;

	if (!host)
		return drop(DROP_NO_PEER);
	if (length > 0xffff)
		return drop(DROP_TOO_BIG);
	eth = view(pkt->ctx, sizeof(*eth));
	if (!eth)
		return drop(DROP_TRUNCATED);
	inner_eth = *eth;
	verdict = grow(pkt->ctx);
	if (verdict != NEXT)
		return verdict;
	eth = view(pkt->ctx, ETH_HLEN + sizeof(*outer) + ETH_HLEN);
	if (!eth)
		return drop(DROP_TRUNCATED);

	outer = (void *)(eth + 1);
	*(struct ethhdr *)(outer + 1) = inner_eth;
	outer->geneve = (struct geneve){
		.protocol = bpf_htons(GENEVE_ETHERNET),
		.vni = bpf_htonl(bpf_ntohl(pkt->vni) << 8),
	};
	outer->udp = (struct udphdr){
		.source = bpf_htons(HOPS_FRESH << HOPS_SHIFT | entropy(pkt)),
		.dest = bpf_htons(GENEVE_PORT),
		.len = bpf_htons(length - sizeof(struct iphdr)),
	};
	outer->ip = (struct iphdr){
		.version = 4,
		.ihl = sizeof(struct iphdr) / 4,
		.tot_len = bpf_htons(length),
		.frag_off = bpf_htons(IP_DONT_FRAGMENT),
		.ttl = OUTER_TTL,
		.protocol = IPPROTO_UDP,
		.saddr = node.ip,
		.daddr = host,
	};
	outer->ip.check = ip_checksum(&outer->ip);
	return bpf_redirect_neigh(node.uplink, NULL, 0, 0);
}
