/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Networks (subnets of a VPC), and the choice of one of a network's bouncers.
 *
 * Only frames without a known owner come here: a prefix lookup costs four times a hash.
 */
#pragma once

#include "packet.h"
#include "peer.h"

#define NETWORKS_MAX	(1 << 16)
#define BOUNCERS_MAX	4	/* hosts that share a network's first packets */
#define VNI_BITS	32

struct network_key {
	__u32 prefix_length;	/* VNI_BITS and those of the IPv4 prefix */
	__be32 vni;
	__be32 ip;
};

struct network {
	__be32 gateway;
	__u8 gateway_mac[ETH_ALEN];
	__u16 pad;
	__u32 bouncers[BOUNCERS_MAX];	/* indexes in peers; PEER_NONE ends them */
};
_Static_assert(sizeof(struct network) == 28, "no implicit padding in map values");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__type(key, struct network_key);
	__type(value, struct network);
	__uint(max_entries, NETWORKS_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
} networks SEC(".maps");

static __always_inline struct network *find_network(__be32 vni, __be32 ip)
{
	struct network_key key = {
		.prefix_length = VNI_BITS + 32,
		.vni = vni,
		.ip = ip,
	};

	return bpf_map_lookup_elem(&networks, &key);
}

/* Returns a well spread hash of two words (the finalizer of MurmurHash3). */
static __always_inline __u32 mix(__u32 a, __u32 b)
{
	a ^= b * 0x9e3779b1;
	a ^= a >> 16;
	a *= 0x85ebca6b;
	a ^= a >> 13;
	a *= 0xc2b2ae35;
	return a ^ (a >> 16);
}

static __always_inline int is_bouncer(const struct network *network)
{
	int is = 0;

#pragma unroll
	for (int i = 0; i < BOUNCERS_MAX; i++)
		is |= network->bouncers[i] == PEER_SELF;
	return is;
}

/* Returns the index of the bouncer for `ip` by rendezvous: each address scores every bouncer, so
 * that a bouncer that joins or leaves moves its own share alone. PEER_NONE if there is none.
 */
static __always_inline __u32 choose_bouncer(const struct network *network, __be32 ip)
{
	__u32 chosen = PEER_NONE, best = 0;

#pragma unroll
	for (int i = 0; i < BOUNCERS_MAX; i++) {
		__u32 index = network->bouncers[i], score;
		__be32 host = index ? peer_ip(index) : 0;

		if (!host)
			continue;
		score = mix(host, ip);
		if (chosen == PEER_NONE || score > best) {
			chosen = index;
			best = score;
		}
	}
	return chosen;
}
