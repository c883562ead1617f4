/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The direct path: owners learned from packets.
 *
 * A bouncer forwards without touching the outer source, so the host that delivers a packet learns
 * which host its sender is on, and answers there directly; the answer teaches the first host in turn.
 * After one exchange no packet of the pair sees a bouncer.
 *
 * An entry is believed
 *  - while its peer is a peer: `host` must equal what peers[peer] holds, so the removal of a dead
 *    node, or another use of its index, ends the entry at once;
 *  - for node.learned_max after the last packet seen from there.
 * Goal state comes first: learned is asked only where endpoints has no row. A wrong entry is no black
 * hole either: the host where the endpoint is not (any more) sends the packet to a bouncer (bounce.h).
 *
 * Seeing an owner again is a plain store into the entry, once per node.seen_step: an LRU write per
 * packet would cost 136 ns and more (measured on Linux 6.18).
 */
#pragma once

#include "endpoint.h"
#include "node.h"
#include "packet.h"
#include "peer.h"

#define LEARNED_MAX	(1 << 16)	/* 6 MiB; the least recently learned goes first */

struct learned {
	__u32 peer;	/* index in peers */
	__be32 host;	/* its IPv4 address then */
	__u32 seen;	/* jiffies, low half */
	__u32 pad;
};
_Static_assert(sizeof(struct learned) == 16, "no implicit padding in map values");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__type(key, struct endpoint_key);
	__type(value, struct learned);
	__uint(max_entries, LEARNED_MAX);
} learned SEC(".maps");

/* Returns the learned owner's index in peers, or PEER_NONE. */
static __always_inline __u32 find_learned(__be32 vni, __be32 ip)
{
	struct endpoint_key key = { .vni = vni, .ip = ip };
	struct learned *entry = bpf_map_lookup_elem(&learned, &key);

	if (!entry || (__u32)bpf_jiffies64() - entry->seen > node.learned_max)
		return PEER_NONE;
	return peer_ip(entry->peer) == entry->host ? entry->peer : PEER_NONE;
}

/* Stage: note which host the sender of a delivered packet is on.
 *
 * Reads    pkt->vni, pkt->inner.saddr, pkt->outer.saddr, pkt->from; maps learned, endpoints.
 * Writes   map learned. No packet bytes.
 * Returns  NEXT.
 */
static __always_inline int learn(struct packet *pkt)
{
	struct endpoint_key key = { .vni = pkt->vni, .ip = pkt->inner.saddr };
	struct learned *entry = bpf_map_lookup_elem(&learned, &key);
	__u32 now = bpf_jiffies64();
	struct learned heard = {
		.peer = pkt->from,
		.host = pkt->outer.saddr,
		.seen = now,
	};

	if (entry && entry->peer == heard.peer && entry->host == heard.host) {
		if (now - entry->seen >= node.seen_step)
			entry->seen = now;
		return NEXT;
	}
	if (!bpf_map_lookup_elem(&endpoints, &key))
		bpf_map_update_elem(&learned, &key, &heard, BPF_ANY);
	return NEXT;
}
