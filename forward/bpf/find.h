/* SPDX-License-Identifier: MIT OR Apache-2.0 OR GPL-2.0 */
/* Finding the flow of a packet, and that of its connection's other direction. */
#ifndef LVSD_FIND_H
#define LVSD_FIND_H

#include "flow.h"

static __always_inline __u64 mix(__u64 hash, __u64 word)
{
	hash = (hash ^ word) * 0xff51afd7ed558ccdull;
	return hash ^ hash >> 32;
}

/*
 * A slot is looked at so: the last word of the key first. What stands in a slot behind that word was written before
 * it, and is not written again before every program that may have seen that word has ended.
 */
#define STATE(slot, last) ({                                                                        \
	__u64 state = *(volatile __u64 *)&(slot)->key.word[last];                                   \
	asm volatile("" : : : "memory");                                                            \
	state;                                                                                      \
})

static __always_inline __u64 differs4(const struct flow4 *slot, const struct key4 *key)
{
	__u64 differs = KEY_PART(STATE(slot, 1) ^ key->word[1]);
	return differs | (slot->key.word[0] ^ key->word[0]);
}

/*
 * The flow with this key, or nothing. Which of a cache line's two slots has it is reckoned and not asked: nobody
 * could predict that branch, and the processor would go on with other work only when the line has come.
 */
static __always_inline struct flow4 *find4(const struct cache *cache, const struct key4 *key)
{
	__u64 hash = mix(mix(cache->seed, key->word[0]), key->word[1]);
	__u32 at = (hash & 0xffffffff) * cache->homes4 >> 32;
	struct line4 *line = bpf_map_lookup_elem(&lvsd_flow4, &at);
	__u32 reach = line ? line->slot[0].flow.reach : 0;
	for (__u32 i = 0; i < WINDOW; i += 2) {
		if (!line)
			return 0;
		__u64 first = differs4(&line->slot[0], key), second = differs4(&line->slot[1], key);
		__u64 is_second = first | -first;
		/* The compiler would make branches of it. */
		asm volatile("" : "+r"(is_second));
		is_second >>= 63;
		asm volatile("" : "+r"(is_second));
		if (!(second & -is_second))
			return (void *)line + is_second * sizeof(struct flow4);
		if (i + 1 >= reach)
			return 0;
		at++;
		line = bpf_map_lookup_elem(&lvsd_flow4, &at);
	}
	return 0;
}

/* The same for IPv6, where a slot is a whole cache line. */
static __always_inline struct flow6 *find6(const struct cache *cache, const struct key6 *key)
{
	__u64 hash = cache->seed;
#pragma unroll
	for (int i = 0; i < 5; i++)
		hash = mix(hash, key->word[i]);
	__u32 at = (hash & 0xffffffff) * cache->homes6 >> 32;
	struct flow6 *slot = bpf_map_lookup_elem(&lvsd_flow6, &at);
	__u32 reach = slot ? slot->flow.reach : 0;
	for (__u32 i = 0; i < WINDOW; i++) {
		if (!slot)
			return 0;
		__u64 differs = KEY_PART(STATE(slot, 4) ^ key->word[4]);
#pragma unroll
		for (int j = 0; j < 4; j++)
			differs |= slot->key.word[j] ^ key->word[j];
		if (!differs)
			return slot;
		if (i >= reach)
			return 0;
		at++;
		slot = bpf_map_lookup_elem(&lvsd_flow6, &at);
	}
	return 0;
}

/* What NAT puts into the flow's packets: the server's address, or for replies the service's. */
static __always_inline const struct address *fresh_address(const struct flow *flow)
{
	__u32 index = flow->source;
	if ((flow->rewrite & ~CLOSED) == REWRITE_SOURCE)
		return bpf_map_lookup_elem(&lvsd_source, &index);
	index = flow->server;
	const struct server *server = bpf_map_lookup_elem(&lvsd_server, &index);
	return server ? &server->address : 0;
}

/* The flow's connection is about to end: neither direction's packets are forwarded here from now on. */
static __always_inline void close4(const struct cache *cache, struct flow4 *flow)
{
	const struct key4 *key = &flow->key;
	struct key4 back = { .proto = key->proto };
	__u8 rewrite = flow->flow.rewrite;
	flow->flow.rewrite = rewrite | CLOSED;
	const struct address *fresh = fresh_address(&flow->flow);
	if (!fresh)
		return;
	if ((rewrite & ~CLOSED) == REWRITE_DESTINATION) {
		back.source = fresh->word[3];
		back.ports.source = key->port;
		back.destination = key->source;
		back.ports.destination = key->ports.source;
	} else if ((rewrite & ~CLOSED) == REWRITE_SOURCE) {
		back.source = key->destination;
		back.ports.source = key->ports.destination;
		back.destination = fresh->word[3];
		back.ports.destination = key->port;
	} else {
		return;
	}
	struct flow4 *other = find4(cache, &back);
	if (other)
		other->flow.rewrite |= CLOSED;
}

static __always_inline void close6(const struct cache *cache, struct flow6 *flow)
{
	const struct key6 *key = &flow->key;
	struct key6 back = { .proto = key->proto };
	__u8 rewrite = flow->flow.rewrite;
	flow->flow.rewrite = rewrite | CLOSED;
	const struct address *fresh = fresh_address(&flow->flow);
	if (!fresh)
		return;
	if ((rewrite & ~CLOSED) == REWRITE_DESTINATION) {
		__builtin_memcpy(back.source, fresh->word, 16);
		back.ports.source = key->port;
		__builtin_memcpy(back.destination, key->source, 16);
		back.ports.destination = key->ports.source;
	} else if ((rewrite & ~CLOSED) == REWRITE_SOURCE) {
		__builtin_memcpy(back.source, key->destination, 16);
		back.ports.source = key->ports.destination;
		__builtin_memcpy(back.destination, fresh->word, 16);
		back.ports.destination = key->port;
	} else {
		return;
	}
	struct flow6 *other = find6(cache, &back);
	if (other)
		other->flow.rewrite |= CLOSED;
}

#endif
