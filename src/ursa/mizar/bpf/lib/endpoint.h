/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Who owns an address of a VPC, by goal state: endpoints of this node, and all of a network's where
 * this node is its bouncer. IPv6 gets a map of its own: a longer key is slower for both.
 */
#pragma once

#include "packet.h"

#define ENDPOINTS_MAX	(1 << 20)	/* 16 MiB empty, 122 B an entry */

struct endpoint_key {
	__be32 vni;	/* 24 bits used */
	__be32 ip;
};

struct endpoint {
	__u32 peer;	/* owner's index in peers */
	__u32 ifindex;	/* 0 unless the owner is this node and the interface is attached */
	__u8 mac[ETH_ALEN];
	__u16 flags;	/* of the attachment */
};
_Static_assert(sizeof(struct endpoint) == 16, "no implicit padding in map values");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, struct endpoint_key);
	__type(value, struct endpoint);
	__uint(max_entries, ENDPOINTS_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
} endpoints SEC(".maps");

static __always_inline struct endpoint *find_endpoint(__be32 vni, __be32 ip)
{
	struct endpoint_key key = { .vni = vni, .ip = ip };

	return bpf_map_lookup_elem(&endpoints, &key);
}
