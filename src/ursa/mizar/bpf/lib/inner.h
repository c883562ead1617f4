/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Stage: read the endpoint's own headers: Ethernet and IPv4, at pkt->inner_at.
 *
 * Reads    the inner headers.
 * Writes   pkt->inner. No packet bytes.
 * Returns  NEXT, or drop(DROP_TRUNCATED, DROP_PROTOCOL, DROP_BAD_INNER).
 */
#pragma once

#include "drop.h"
#include "packet.h"

static __always_inline int has_ports(__u8 protocol)
{
	return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == IPPROTO_SCTP;
}

static __always_inline int parse_inner(struct packet *pkt)
{
	/* The bound is for the verifier: transit's offset is variable, at most 50 + 252 of options. */
	__u32 at = pkt->inner_at & 0x1ff;
	__u32 length, header;
	struct ethhdr *eth;
	struct iphdr *ip;
	void *data, *end;

	data = view(pkt->ctx, at + sizeof(*eth) + sizeof(*ip));
	if (!data)
		return drop(DROP_TRUNCATED);
	end = frame_end(pkt->ctx);
	eth = data + at;
	ip = (void *)(eth + 1);
	if ((void *)(ip + 1) > end)
		return drop(DROP_TRUNCATED);
	if (eth->h_proto != bpf_htons(ETH_P_IP))
		return drop(DROP_PROTOCOL);

	length = bpf_ntohs(ip->tot_len);
	header = ip->ihl * 4;
	if (ip->version != 4 || header < sizeof(*ip) || length < header ||
	    at + sizeof(*eth) + length > pkt->ctx->len)
		return drop(DROP_BAD_INNER);

	pkt->inner.saddr = ip->saddr;
	pkt->inner.daddr = ip->daddr;
	pkt->inner.ttl = ip->ttl;
	pkt->inner.protocol = ip->protocol;
	pkt->inner.ports = 0;
	if (has_ports(ip->protocol) &&
	    !(ip->frag_off & bpf_htons(IP_MORE_FRAGMENTS | IP_FRAGMENT_OFFSET))) {
		__be32 *ports = (void *)ip + header;

		if ((void *)(ports + 1) <= end)
			pkt->inner.ports = *ports;
	}
	return NEXT;
}
