/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What the stages of one program know about the frame at hand, and how they look at its bytes.
 *
 * Stages keep values, not pointers: a helper that moves bytes ends every pointer into the frame.
 */
#pragma once

#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/udp.h>

#include <bpf/bpf_endian.h>

#include "hook.h"

#define IP_MORE_FRAGMENTS	0x2000
#define IP_FRAGMENT_OFFSET	0x1fff
#define IP_DONT_FRAGMENT	0x4000

struct attachment;
struct endpoint;

struct packet {
	hook_ctx *ctx;
	struct attachment *source;	/* agent: whose frame this is */
	struct endpoint *endpoint;	/* who owns inner.daddr, if the goal state says so */
	__be32 vni;
	__u32 peer;			/* agent: index of the host to send to */
	__u32 from;			/* transit: index of the host that encapsulated */
	__u32 inner_at;			/* offset of the inner Ethernet header */
	struct {
		__be32 saddr;
		__be16 sport;
	} outer;
	struct {
		__be32 saddr;
		__be32 daddr;
		__be32 ports;		/* 0 where there are none to read */
		__u8 ttl;
		__u8 protocol;
	} inner;
};

/* Volatile: clang 14 would keep the 32-bit value of an earlier load and extend it itself, and for the
 * verifier the copy is no packet pointer ("invalid access to packet", "dereference of modified ctx ptr").
 */
static __always_inline void *frame_start(hook_ctx *ctx)
{
	return (void *)(long)*(volatile __u32 *)&ctx->data;
}

static __always_inline void *frame_end(hook_ctx *ctx)
{
	return (void *)(long)*(volatile __u32 *)&ctx->data_end;
}

/* Returns the frame's first `length` bytes, or NULL if it has fewer. They may lie in fragments; then
 * they are pulled together, and pointers taken earlier are void.
 */
static __always_inline void *view(hook_ctx *ctx, __u32 length)
{
	void *data = frame_start(ctx);

	if (data + length <= frame_end(ctx))
		return data;
	if (bpf_skb_pull_data(ctx, length))
		return NULL;
	data = frame_start(ctx);
	return data + length <= frame_end(ctx) ? data : NULL;
}

/* Returns the folded, complemented sum: an Internet checksum (RFC 1071). */
static __always_inline __sum16 fold(__u32 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

/* Returns checksum `check` after a 16-bit word changed (RFC 1624, equation 3). */
static __always_inline __sum16 changed16(__sum16 check, __be16 from, __be16 to)
{
	return fold((__u16)~check + (__u16)~from + to);
}

static __always_inline __sum16 changed32(__sum16 check, __be32 from, __be32 to)
{
	check = changed16(check, (__u16)from, (__u16)to);
	return changed16(check, from >> 16, to >> 16);
}

/* Takes one hop off an IPv4 header that has more than one left. */
static __always_inline void decrement_ttl(struct iphdr *ip)
{
	__be16 *word = (__be16 *)&ip->ttl;	/* ttl and protocol */
	__be16 before = *word;

	ip->ttl -= 1;
	ip->check = changed16(ip->check, before, *word);
}
