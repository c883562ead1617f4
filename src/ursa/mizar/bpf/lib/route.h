/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Stages: where an endpoint's packet goes, and what a router on the way does to it. */
#pragma once

#include "arp.h"
#include "drop.h"
#include "endpoint.h"
#include "learned.h"
#include "network.h"
#include "packet.h"

/* Reads    pkt->vni, pkt->inner.daddr; maps endpoints, learned, networks.
 * Writes   pkt->endpoint (NULL if goal state does not say), pkt->peer. No packet bytes.
 * Returns  NEXT, or drop(DROP_NO_NETWORK, DROP_NO_ENDPOINT, DROP_NO_BOUNCER).
 */
static __always_inline int find_destination(struct packet *pkt)
{
	struct network *network;

	pkt->endpoint = find_endpoint(pkt->vni, pkt->inner.daddr);
	if (pkt->endpoint) {
		pkt->peer = pkt->endpoint->peer;
		count(pkt->peer == PEER_SELF ? PATH_SAME_HOST : PATH_DIRECT);
		return NEXT;
	}
	pkt->peer = find_learned(pkt->vni, pkt->inner.daddr);
	if (pkt->peer != PEER_NONE) {
		count(PATH_DIRECT);
		return NEXT;
	}
	network = find_network(pkt->vni, pkt->inner.daddr);
	if (!network)
		return drop(DROP_NO_NETWORK);
	if (is_bouncer(network))
		return drop(DROP_NO_ENDPOINT);	/* this node knows them all */
	pkt->peer = choose_bouncer(network, pkt->inner.daddr);
	if (pkt->peer == PEER_NONE)
		return drop(DROP_NO_BOUNCER);
	count(PATH_TO_BOUNCER);
	return NEXT;
}

/* The gateway of every subnet is the agent itself: a frame to the gateway's MAC goes to the
 * destination's owner like any other, one hop older (RFC 1812, 5.3.1).
 *
 * Reads    the Ethernet and IPv4 headers.
 * Writes   the TTL and checksum of a frame that leaves its subnet.
 * Returns  NEXT, or drop(DROP_TRUNCATED, DROP_MULTICAST, DROP_TTL_EXPIRED).
 */
static __always_inline int route(struct packet *pkt)
{
	const __u8 neighbour_mac[ETH_ALEN] = NEIGHBOUR_MAC;
	struct ethhdr *eth = view(pkt->ctx, sizeof(*eth) + sizeof(struct iphdr));

	if (!eth)
		return drop(DROP_TRUNCATED);
	if (eth->h_dest[0] & 1)
		return drop(DROP_MULTICAST);
	if (same_mac(eth->h_dest, neighbour_mac))
		return NEXT;
	if (pkt->inner.ttl <= 1)
		return drop(DROP_TTL_EXPIRED);
	decrement_ttl((struct iphdr *)(eth + 1));
	return NEXT;
}
