/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What the loader tells the programs about this node, before they are verified. */
#pragma once

#include "hook.h"

struct node {
	__be32 ip;		/* underlay address */
	__u32 uplink;		/* ifindex */
	__u32 learned_max;	/* jiffies that a learned owner is believed without being seen */
	__u32 seen_step;	/* jiffies between two notes of having seen it */
};

/* A section of its own: the loader writes the struct at its start. */
const volatile struct node node SEC(".rodata.node");

/* What the maps hold, for the daemon alone: it must outlive the daemon, as the rows do. */
struct held {
	__u64 epoch;	/* of the goal state's revision, as is counter */
	__u64 counter;
	__u32 writing;	/* 1 while rows are written: if a daemon dies then, a snapshot must mend them */
	__u32 pad;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, struct held);
	__uint(max_entries, 1);
} held SEC(".maps");
