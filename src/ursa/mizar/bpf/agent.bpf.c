// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/* Agent: the program on an endpoint's interface, for all that the endpoint sends. In packet order:
 *
 *   find_source → answer_arp → parse_inner → check_source → find_destination → route
 *                                             ┌──── owner is this node ────┤
 *                                          deliver                    encapsulate
 *
 * A stage returns NEXT or the final verdict.
 */
#include "lib/hook.h"
#include "lib/packet.h"
#include "lib/attachment.h"
#include "lib/arp.h"
#include "lib/inner.h"
#include "lib/route.h"
#include "lib/deliver.h"
#include "lib/encapsulate.h"

SEC(HOOK)
int agent(hook_ctx *ctx)
{
	struct packet pkt = { .ctx = ctx };
	int verdict;

	verdict = find_source(&pkt);
	if (verdict == NEXT)
		verdict = answer_arp(&pkt);
	if (verdict == NEXT)
		verdict = parse_inner(&pkt);
	if (verdict == NEXT)
		verdict = check_source(&pkt);
	if (verdict == NEXT)
		verdict = find_destination(&pkt);
	if (verdict == NEXT)
		verdict = route(&pkt);
	if (verdict == NEXT && pkt.peer == PEER_SELF && pkt.endpoint)
		verdict = deliver(&pkt);
	if (verdict == NEXT)
		verdict = encapsulate(&pkt);
	return verdict;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
