/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Stage: answer ARP here; none crosses the underlay.
 *
 * The gateway has its own MAC. Every other address of the VPC's networks has NEIGHBOUR_MAC, whether an
 * endpoint has it or not: no neighbour entry is ever stale, because delivery writes the owner's MAC,
 * and a frame to NEIGHBOUR_MAC is known to stay in its subnet (route.h).
 * A probe or an announcement of the sender's own address gets no answer (RFC 5227).
 *
 * Reads    the Ethernet and ARP headers; pkt->source; map networks.
 * Writes   the whole frame: it becomes the answer.
 * Returns  the redirect back to the interface, NEXT if it is no ARP, or drop(DROP_TRUNCATED,
 *          DROP_BAD_ARP, DROP_SPOOFED_IP, DROP_SPOOFED_MAC, DROP_ARP_NO_NETWORK).
 */
#pragma once

#include "attachment.h"
#include "drop.h"
#include "network.h"
#include "packet.h"
#include "path.h"

#define NEIGHBOUR_MAC	{ 0x02, 0x75, 0x72, 0x73, 0x61, 0x01 }	/* locally administered, "ursa" */

/* linux/if_arp.h needs the C library's 32-bit headers. */
#define ARPHRD_ETHER	1
#define ARPOP_REQUEST	1
#define ARPOP_REPLY	2

struct arp_packet {	/* RFC 826, for Ethernet and IPv4 */
	struct ethhdr eth;
	__be16 hardware;
	__be16 protocol;
	__u8 hardware_length;
	__u8 protocol_length;
	__be16 operation;
	__u8 sender_mac[ETH_ALEN];
	__be32 sender_ip;
	__u8 target_mac[ETH_ALEN];
	__be32 target_ip;
} __attribute__((packed));

static __always_inline int answer_arp(struct packet *pkt)
{
	const __u8 neighbour_mac[ETH_ALEN] = NEIGHBOUR_MAC;
	struct attachment *source = pkt->source;
	struct ethhdr *eth = view(pkt->ctx, sizeof(*eth));
	struct network *network;
	struct arp_packet *arp;
	__be32 asked;

	if (!eth)
		return drop(DROP_TRUNCATED);
	if (eth->h_proto != bpf_htons(ETH_P_ARP))
		return NEXT;
	arp = view(pkt->ctx, sizeof(*arp));
	if (!arp)
		return drop(DROP_TRUNCATED);
	if (arp->hardware != bpf_htons(ARPHRD_ETHER) || arp->protocol != bpf_htons(ETH_P_IP) ||
	    arp->hardware_length != ETH_ALEN || arp->protocol_length != sizeof(__be32) ||
	    arp->operation != bpf_htons(ARPOP_REQUEST) || arp->target_ip == source->ip)
		return drop(DROP_BAD_ARP);
	if (!same_mac(arp->sender_mac, source->mac))
		return drop(DROP_SPOOFED_MAC);
	if (arp->sender_ip && arp->sender_ip != source->ip)
		return drop(DROP_SPOOFED_IP);

	asked = arp->target_ip;
	network = find_network(pkt->vni, asked);
	if (!network)
		return drop(DROP_ARP_NO_NETWORK);
	if (network->gateway == asked)
		__builtin_memcpy(arp->sender_mac, network->gateway_mac, ETH_ALEN);
	else
		__builtin_memcpy(arp->sender_mac, neighbour_mac, ETH_ALEN);
	arp->operation = bpf_htons(ARPOP_REPLY);
	arp->target_ip = arp->sender_ip;
	arp->sender_ip = asked;
	__builtin_memcpy(arp->target_mac, source->mac, ETH_ALEN);
	__builtin_memcpy(arp->eth.h_dest, source->mac, ETH_ALEN);
	__builtin_memcpy(arp->eth.h_source, arp->sender_mac, ETH_ALEN);
	count(PATH_ARP_ANSWERED);
	return bpf_redirect(pkt->ctx->ifindex, 0);
}
