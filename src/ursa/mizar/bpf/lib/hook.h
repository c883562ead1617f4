/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The hook that programs run at: TC ingress of an endpoint's interface and of the uplink. There the
 * kernel hands over whole GSO frames, so bulk TCP keeps its 64 KiB segments through the tunnel.
 */
#pragma once

#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#include <bpf/bpf_helpers.h>

#define HOOK "tc"
typedef struct __sk_buff hook_ctx;
#define VERDICT_DROP	TC_ACT_SHOT
#define VERDICT_PASS	TC_ACT_OK

#define NEXT	(-2)	/* go on with the next stage: no verdict of TC (>= -1) */
