/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Stage: the packet's endpoint is not here; send it where it is, or to who knows.
 *
 * As bouncer of the destination's network: on to the owner's host. As a host that an endpoint left, or
 * that was named in error: on to a bouncer. Each forwarding has one hop less (geneve.h).
 *
 * The outer header is rewritten in place: in TC a frame that was unwrapped cannot be wrapped again
 * (EALREADY, Linux 6.18). The outer source stays, so the owner's host learns the sender's (learned.h);
 * an underlay that checks source addresses must know the nodes' as a group.
 *
 * Reads    pkt->vni, pkt->inner, pkt->outer, pkt->endpoint; maps networks, peers.
 * Writes   the outer destination, TTL, IPv4 checksum, UDP source port.
 * Returns  the redirect, or drop(DROP_NO_NETWORK, DROP_MISDELIVERED, DROP_NO_ENDPOINT,
 *          DROP_NO_BOUNCER, DROP_NO_PEER, DROP_TRUNCATED, DROP_TTL_EXPIRED).
 */
#pragma once

#include "decapsulate.h"
#include "drop.h"
#include "endpoint.h"
#include "geneve.h"
#include "network.h"
#include "node.h"
#include "packet.h"
#include "path.h"
#include "peer.h"

static __always_inline int forward(struct packet *pkt, __u32 peer, __u32 hops)
{
	struct tunnel *outer = view_tunnel(pkt->ctx);
	__be32 host = peer_ip(peer);
	__u16 port;

	if (!host)
		return drop(DROP_NO_PEER);
	if (!outer)
		return drop(DROP_TRUNCATED);
	if (outer->ip.ttl <= 1)
		return drop(DROP_TTL_EXPIRED);
	outer->ip.check = changed32(outer->ip.check, outer->ip.daddr, host);
	outer->ip.daddr = host;
	decrement_ttl(&outer->ip);
	port = hops << HOPS_SHIFT | (bpf_ntohs(pkt->outer.sport) & ENTROPY_MASK);
	if (outer->udp.check)
		outer->udp.check = 0;	/* optional on IPv4; the inner checksum still guards */
	outer->udp.source = bpf_htons(port);
	return bpf_redirect_neigh(node.uplink, NULL, 0, 0);
}

static __always_inline int bounce(struct packet *pkt)
{
	__u32 hops = bpf_ntohs(pkt->outer.sport) >> HOPS_SHIFT, peer;
	struct network *network = find_network(pkt->vni, pkt->inner.daddr);

	if (!network)
		return drop(DROP_NO_NETWORK);
	if (is_bouncer(network)) {
		if (!pkt->endpoint)
			return drop(DROP_NO_ENDPOINT);
		if (hops <= HOPS_BOUNCED)
			return drop(DROP_MISDELIVERED);
		count(PATH_BOUNCED);
		return forward(pkt, pkt->endpoint->peer, HOPS_BOUNCED);
	}
	if (hops <= HOPS_RETURNED)
		return drop(DROP_MISDELIVERED);
	peer = choose_bouncer(network, pkt->inner.daddr);
	if (peer == PEER_NONE)
		return drop(DROP_NO_BOUNCER);
	count(PATH_RETURNED);
	return forward(pkt, peer, HOPS_RETURNED);
}
