/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Which way was chosen for frames, counted: tells a direct path from a bounced one. A later stage may
 * still drop the frame; that is counted as well.
 */
#pragma once

#include "hook.h"

enum path_taken {	/* append only: the numbers are an interface */
	PATH_ARP_ANSWERED,
	PATH_SAME_HOST,		/* agent: delivered without encapsulation */
	PATH_DIRECT,		/* agent: sent to the owner's host */
	PATH_TO_BOUNCER,	/* agent: the owner is unknown */
	PATH_DELIVERED,		/* transit: to a local endpoint */
	PATH_BOUNCED,		/* transit as bouncer: on to the owner's host */
	PATH_RETURNED,		/* transit: the endpoint is not here, on to its bouncer */
	PATHS,			/* count; keep last */
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__type(key, __u32);	/* enum path_taken */
	__type(value, __u64);	/* frames as the hook sees them: a GSO frame is one */
	__uint(max_entries, PATHS);
} paths SEC(".maps");

static __attribute__((noinline)) int count(enum path_taken path)
{
	__u32 key = path;
	__u64 *frames = bpf_map_lookup_elem(&paths, &key);

	if (frames)
		*frames += 1;
	return 0;
}
