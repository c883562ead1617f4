/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Every drop has a reason and a counter; `ursa net drops` prints them by these names.
 * drop() is not inlined: one copy per program, and clang keeps the enum in BTF.
 */
#pragma once

#include "hook.h"

enum drop_reason {	/* append only: the numbers are an interface */
	DROP_NOT_ATTACHED,	/* an interface, or a local endpoint, without attachment */
	DROP_TRUNCATED,		/* ends before its headers do */
	DROP_PROTOCOL,		/* neither IPv4 nor ARP inside */
	DROP_BAD_INNER,		/* an inner IPv4 header that is malformed */
	DROP_SPOOFED_MAC,
	DROP_SPOOFED_IP,
	DROP_BAD_ARP,		/* no request for IPv4 over Ethernet, or none that asks for another */
	DROP_ARP_NO_NETWORK,	/* asks for an address of no network of its VPC */
	DROP_MULTICAST,
	DROP_TTL_EXPIRED,
	DROP_NO_NETWORK,	/* the destination is in no network of its VPC */
	DROP_NO_BOUNCER,	/* the destination's network has no bouncer */
	DROP_NO_ENDPOINT,	/* its bouncer knows no such endpoint */
	DROP_MISDELIVERED,	/* not here, and it has been forwarded often enough */
	DROP_NO_PEER,		/* the owner's host is no peer any more */
	DROP_TOO_BIG,		/* would not fit one outer IPv4 packet */
	DROP_NESTED_GSO,	/* a GSO frame of the endpoint's own tunnel */
	DROP_ENCAPSULATION,	/* the kernel refused to grow the frame */
	DROP_DECAPSULATION,	/* the kernel refused to shrink the frame */
	DROP_UNKNOWN_PEER,	/* a tunnel packet from no peer */
	DROP_OUTER_FRAGMENT,
	DROP_BAD_GENEVE,	/* version, control bit, critical option or payload not ours */
	DROP_REASONS,		/* count; keep last */
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__type(key, __u32);	/* enum drop_reason: an enum as key makes Linux refuse the BTF */
	__type(value, __u64);	/* packets */
	__uint(max_entries, DROP_REASONS);
} drops SEC(".maps");

static __attribute__((noinline)) int drop(enum drop_reason reason)
{
	__u32 key = reason;
	__u64 *packets = bpf_map_lookup_elem(&drops, &key);

	if (packets)
		*packets += 1;
	return VERDICT_DROP;
}
