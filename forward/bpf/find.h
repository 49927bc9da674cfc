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
 * The flow with this key, or nothing. What stands in a slot behind the last word of its key was written before it,
 * and is not written again before every program that may have seen that word has ended.
 */
#define FIND(family, last)                                                                          \
static __always_inline struct flow##family *find##family(const struct cache *cache,                \
							 const struct key##family *key)            \
{                                                                                                   \
	__u64 hash = cache->seed;                                                                   \
	_Pragma("unroll") for (int i = 0; i <= last; i++)                                           \
		hash = mix(hash, key->word[i]);                                                     \
	__u32 at = (hash & 0xffffffff) * cache->slots##family >> 32;                                \
	struct flow##family *slot = bpf_map_lookup_elem(&lvsd_flow##family, &at);                   \
	__u32 reach = slot ? slot->flow.reach : 0;                                                  \
	for (__u32 i = 0; i < WINDOW; i++) {                                                        \
		if (!slot)                                                                          \
			return 0;                                                                   \
		__u64 differs = KEY_PART(*(volatile __u64 *)&slot->key.word[last] ^ key->word[last]); \
		_Pragma("unroll") for (int j = 0; j < last; j++)                                    \
			differs |= slot->key.word[j] ^ key->word[j];                                \
		if (!differs)                                                                       \
			return slot;                                                                \
		if (i >= reach)                                                                     \
			return 0;                                                                   \
		at++;                                                                               \
		slot = bpf_map_lookup_elem(&lvsd_flow##family, &at);                                \
	}                                                                                           \
	return 0;                                                                                   \
}

FIND(4, 1)
FIND(6, 4)

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
