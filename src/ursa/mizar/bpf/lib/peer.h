/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Stage: the outer source must be a host of ours, or anybody who reaches the Geneve port could send
 * into every VPC. Rows of other maps name a peer by its index; only this table holds addresses.
 *
 * Reads    the outer IPv4 source; maps peer_indexes, peers.
 * Writes   pkt->from. No packet bytes.
 * Returns  NEXT, or drop(DROP_UNKNOWN_PEER).
 */
#pragma once

#include "drop.h"
#include "packet.h"

#define PEERS_MAX	(1 << 14)	/* nodes of a cluster: 256 KiB */
#define PEER_NONE	0
#define PEER_SELF	1

struct address {	/* IPv6, or IPv4 mapped into it (RFC 4291, 2.5.5.2) */
	__be32 word[4];
};

struct peer {		/* all zero: no peer has this index */
	__u8 ip[16];	/* struct address; of bytes for Python's sake */
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, struct peer);
	__uint(max_entries, PEERS_MAX);
} peers SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, struct peer);
	__type(value, __u32);	/* index in peers */
	__uint(max_entries, PEERS_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
} peer_indexes SEC(".maps");

/* Returns the IPv4 address of a peer, or 0 if there is none of this index. */
static __always_inline __be32 peer_ip(__u32 index)
{
	struct address *address = bpf_map_lookup_elem(&peers, &index);

	return address ? address->word[3] : 0;
}

static __always_inline int check_peer(struct packet *pkt)
{
	struct address address = {
		.word = { 0, 0, bpf_htonl(0xffff), pkt->outer.saddr },
	};
	__u32 *index = bpf_map_lookup_elem(&peer_indexes, &address);

	if (!index || *index == PEER_SELF)
		return drop(DROP_UNKNOWN_PEER);
	pkt->from = *index;
	return NEXT;
}
