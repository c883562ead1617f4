// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/* Transit: the program on a node's uplink. In packet order:
 *
 *   parse_outer → check_peer → parse_geneve → parse_inner → endpoint of this node? ─ no → bounce
 *                                                            │ yes
 *                                                          learn → decapsulate → deliver
 *
 * A stage returns NEXT or the final verdict.
 */
#include "lib/hook.h"
#include "lib/packet.h"
#include "lib/decapsulate.h"
#include "lib/peer.h"
#include "lib/inner.h"
#include "lib/endpoint.h"
#include "lib/bounce.h"
#include "lib/learned.h"
#include "lib/deliver.h"
#include "lib/path.h"

SEC(HOOK)
int transit(hook_ctx *ctx)
{
	struct packet pkt = { .ctx = ctx };
	int verdict;

	verdict = parse_outer(&pkt);
	if (verdict == NEXT)
		verdict = check_peer(&pkt);
	if (verdict == NEXT)
		verdict = parse_geneve(&pkt);
	if (verdict == NEXT)
		verdict = parse_inner(&pkt);
	if (verdict != NEXT)
		return verdict;

	pkt.endpoint = find_endpoint(pkt.vni, pkt.inner.daddr);
	if (!pkt.endpoint || pkt.endpoint->peer != PEER_SELF)
		return bounce(&pkt);
	verdict = learn(&pkt);
	if (verdict == NEXT)
		verdict = decapsulate(&pkt);
	if (verdict == NEXT) {
		count(PATH_DELIVERED);
		verdict = deliver(&pkt);
	}
	return verdict;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
