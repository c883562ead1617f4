/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Stage: hand a frame to an endpoint of this node.
 *
 * Reads    pkt->endpoint.
 * Writes   the destination MAC.
 * Returns  the redirect: into the pod's end of a veth, past the host's; or out to a tap's reader.
 *          Or drop(DROP_NOT_ATTACHED, DROP_TRUNCATED).
 */
#pragma once

#include "attachment.h"
#include "drop.h"
#include "endpoint.h"
#include "packet.h"

#define PACKET_HOST	0	/* linux/if_packet.h: for this machine */

static __always_inline int deliver(struct packet *pkt)
{
	struct endpoint *endpoint = pkt->endpoint;
	struct ethhdr *eth = view(pkt->ctx, sizeof(*eth));
	__u32 ifindex = endpoint->ifindex;

	if (!ifindex)
		return drop(DROP_NOT_ATTACHED);
	if (!eth)
		return drop(DROP_TRUNCATED);
	__builtin_memcpy(eth->h_dest, endpoint->mac, ETH_ALEN);
	if (endpoint->flags & ATTACHMENT_TAP)
		return bpf_redirect(ifindex, 0);
	/* The sender's veth took the frame for another machine's, and its mark stays at the pod. */
	if (pkt->ctx->pkt_type != PACKET_HOST)
		bpf_skb_change_type(pkt->ctx, PACKET_HOST);
	return bpf_redirect_peer(ifindex, 0);
}
