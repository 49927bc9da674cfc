/* SPDX-License-Identifier: MIT OR Apache-2.0 OR GPL-2.0 */
/*
 * Packets of flows that the director has decided about: forwarded here as it would forward them.
 *
 *   frame -> plain IPv4 or IPv6 with TCP or UDP -> a flow in lvsd_flow4/6 -> its server is there, its path known
 *         -> no end of a connection, TTL and size as they should be -> rewritten -> out, by XDP_TX or redirect
 *
 * Anything else is told by a reason and left as it is: the director's user space sees it. Nothing of a packet is
 * changed before all is decided. lvs_forward::io::xdp::flows mirrors everything down to the maps.
 *
 * The flows lie in hash tables of our own, in arrays that user space maps: a BPF hash map costs two cache misses and
 * two of the TLB more for each packet, and 45 octets more for each flow. lvs_forward::io::xdp::table tells how they
 * are written while this reads them.
 */
#ifndef LVSD_FLOW_H
#define LVSD_FLOW_H

#include "parse.h"

/* How many servers and next hops may have flows here. */
#define SERVERS 16384
#define PATHS 16384

/* The last word of a key is written last, and says whether there is a flow at all. */
#define STATE_LIVE 1

struct key4 {
	union {
		struct {
			__be32 source;
			__be32 destination;
			struct ports ports;
			__u8 proto;
			__u8 state;
			__u16 zero;
		};
		__u64 word[2];
	};
};

struct key6 {
	union {
		struct {
			__be32 source[4];
			__be32 destination[4];
			struct ports ports;
			__u8 proto;
			__u8 state;
			__u16 zero;
		};
		__u64 word[5];
	};
};

enum rewrite {
	REWRITE_DESTINATION = 1,
	REWRITE_SOURCE = 2,
	REWRITE_DIRECT = 3,
	REWRITE_TUNNEL = 4,
};

/* What is decided about a flow; behind it stands the new address. */
struct flow {
	/* When its last packet came: SETTING_CLOCK. */
	__u32 seen;
	/* How many came. */
	__u32 packets;
	/* The decision counts while this is the epoch in lvsd_cache. */
	__u32 epoch;
	/* Its server, in lvsd_server and lvsd_tally. */
	__u16 server;
	/* Its way, in lvsd_path; to a server it is the server's own. */
	__u16 path;
	/* The new port. */
	__be16 port;
	/* The source port of GUE. */
	__be16 gue_port;
	__u8 rewrite;
	/* An end of the connection was seen: the rest is user space's. */
	__u8 is_closed;
	/* No flow whose home is this slot lies further behind it. The slot's, not the flow's. */
	__u8 reach;
	__u8 zero;
};

struct flow4 {
	struct key4 key;
	struct flow flow;
	__be32 address;
	__u32 zero;
};

struct flow6 {
	struct key6 key;
	struct flow flow;
	__be32 address[4];
};

/* A flow lies in its home slot or in one of so many behind that, less one. */
#define WINDOW 64

#define TRANSMITS (1u << 31)

struct path {
	/* Where it leaves; 0 for a way that cannot be taken now. */
	__u32 ifindex;
	/* The interface's place in lvsd_device; with TRANSMITS where what came in there leaves by XDP_TX. */
	__u32 device;
	/* Octets of the largest IP packet. */
	__u16 mtu;
	/* The same within the server's tunnel; 0 where it has none that can be made here. */
	__u16 tunnel_mtu;
	__u8 destination[6];
	__u8 source[6];
};

enum encapsulation {
	ENCAPSULATION_IPIP = 0,
	ENCAPSULATION_GUE = 1,
	ENCAPSULATION_GRE = 2,
};

struct server {
	/* The way to it; without one its flows are user space's, replies too. */
	struct path path;
	/* Not 0 while it is a server of a service's. */
	__u8 is_there;
	__u8 is_outer_v6;
	__u8 encapsulation;
	__u8 pmtu_disc;
	__be16 gue_port;
	__u16 zero;
	/* The tunnel's ends. */
	struct address local;
	struct address remote;
	/* Who it is, for a director that takes over; the program does not look at it. */
	__u8 identity[48];
};

/* What was forwarded here of a server's. */
struct tally {
	__u64 in_packets;
	__u64 in_bytes;
	__u64 out_packets;
	__u64 out_bytes;
};

struct cache {
	/* 0 while nothing is forwarded here. */
	__u32 epoch;
	/* What user space says the time is; 0 for the kernel's own, in 2^20 nanoseconds. */
	__u32 clock;
	/* The version of these maps. */
	__u32 version;
	/* How many slots of each table may be homes: WINDOW less one than there are. */
	__u32 slots4;
	/* What hashes begin with: nobody outside can say what collides. */
	__u64 seed;
	/* How many flows are to have room. */
	__u32 flows4;
	__u32 slots6;
	__u32 flows6;
	__u32 zero;
};

/* What became of a packet that the director is to have: the index into lvsd_cached. */
enum outcome {
	OUTCOME_FORWARDED = 0,
	OUTCOME_OFF,
	/* No flow, or nothing that flows are kept of. */
	OUTCOME_UNKNOWN,
	/* A fragment, options, a VLAN tag, extension headers, a header that is not right. */
	OUTCOME_ODD,
	/* It begins or ends a connection, or belongs to one of which an end was seen. */
	OUTCOME_END,
	/* The decision counts no more. */
	OUTCOME_STALE,
	OUTCOME_TTL,
	OUTCOME_TOO_BIG,
	/* A checksum that is to be computed as a whole. */
	OUTCOME_CHECKSUM,
	OUTCOME_COUNT,
};

/* The version of all this: another one is not taken over. */
#define CACHE_VERSION 3

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, WINDOW);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct flow4);
} lvsd_flow4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, WINDOW);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct flow6);
} lvsd_flow6 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SERVERS);
	__type(key, __u32);
	__type(value, struct server);
} lvsd_server SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, PATHS);
	__type(key, __u32);
	__type(value, struct path);
} lvsd_path SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SERVERS);
	__type(key, __u32);
	__type(value, struct tally);
} lvsd_tally SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, __u32);
} lvsd_device SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct cache);
} lvsd_cache SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, OUTCOME_COUNT);
	__type(key, __u32);
	__type(value, __u64);
} lvsd_cached SEC(".maps");

struct tcp {
	struct ports ports;
	__be32 sequence;
	__be32 acknowledgement;
	/* In 32-bit words, in the upper four bits. */
	__u8 length;
	__u8 flags;
	__be16 window;
	__be16 checksum;
	__be16 urgent;
} __attribute__((packed));

#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_ACK 0x10

struct udp {
	struct ports ports;
	__be16 length;
	__be16 checksum;
} __attribute__((packed));

struct gue {
	__u8 version_control_length;
	__u8 proto;
	__be16 flags;
} __attribute__((packed));

struct gre {
	__be16 flags;
	__be16 type;
} __attribute__((packed));

#define IPV4_DONT_FRAGMENT 0x4000

/* The most that a tunnel puts before a packet: IPv6, UDP, GUE. */
#define OVERHEAD_MASK 63

/* What the headers of a packet say that a flow may be forwarded by. */
struct seen {
	/* Octets from the transport header on that its checksum covers. */
	__u32 covered;
	/* The IP packet's length. */
	__u32 length;
	/* The transport checksum's place behind the transport header's begin. */
	__u32 checksum_at;
	__u16 checksum;
	__u8 ttl;
	__u8 tos;
	__u8 dont_fragment;
	/* The checksum is the pseudo-header's sum only: the sender is on this machine. */
	__u8 is_partial;
	__u8 is_end;
};

/* One's complement: the order of bytes does not matter to it. */
static __always_inline __u32 fold(__u64 sum)
{
	sum = (sum >> 32) + (sum & 0xffffffff);
	sum = (sum >> 32) + (sum & 0xffffffff);
	sum = (sum >> 16) + (sum & 0xffff);
	sum = (sum >> 16) + (sum & 0xffff);
	return sum;
}

#define CHUNK 256
#define CHUNKS 64

/* Where a part of a packet is copied to be summed: the stack is too small. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u8[CHUNK]);
} lvsd_chunk SEC(".maps");

/* The sum of `length` octets at `offset`; folded. -1 where they are not there. */
__attribute__((noinline)) int sum_of(struct xdp_md *xdp, __u32 offset, __u32 length)
{
	__u64 sum = 0;
	__u32 zero = 0;
	__u8 *chunk = bpf_map_lookup_elem(&lvsd_chunk, &zero);

	if (!chunk)
		return -1;
	for (int i = 0; i < CHUNKS; i++) {
		if (length < CHUNK)
			break;
		if (bpf_xdp_load_bytes(xdp, offset, chunk, CHUNK))
			return -1;
		sum += (__u32)bpf_csum_diff(0, 0, (__be32 *)chunk, CHUNK, 0);
		offset += CHUNK;
		length -= CHUNK;
	}
	if (length >= CHUNK)
		return -1;
	/* The verifier is to see the bound, which the compiler knows and would leave out. */
	asm volatile("" : "+r"(length));
	length &= CHUNK - 1;
	if (length > 0) {
		__builtin_memset(chunk, 0, CHUNK);
		if (bpf_xdp_load_bytes(xdp, offset, chunk, length))
			return -1;
		sum += (__u32)bpf_csum_diff(0, 0, (__be32 *)chunk, CHUNK, 0);
	}
	return fold(sum);
}

static __always_inline void count_outcome(__u32 outcome)
{
	__u64 *counter = bpf_map_lookup_elem(&lvsd_cached, &outcome);
	if (counter)
		*counter += 1;
}

/* Reads TCP or UDP at `l4`; OUTCOME_FORWARDED when all is as it should be. `pseudo` is the addresses' sum. */
static __always_inline __u32 look_at_transport(void *l4, void *end, __u32 proto, __u32 length, __u64 pseudo,
					       struct seen *seen)
{
	if (proto == PROTO_TCP) {
		struct tcp *tcp = l4;
		if ((void *)(tcp + 1) > end || length < sizeof(*tcp))
			return OUTCOME_ODD;
		__u32 header = (tcp->length >> 4) * 4;
		if (header < sizeof(*tcp) || header > length)
			return OUTCOME_ODD;
		seen->covered = length;
		seen->checksum = tcp->checksum;
		seen->checksum_at = 16;
		seen->is_end = (tcp->flags & (TCP_FIN | TCP_SYN | TCP_RST | TCP_ACK)) != TCP_ACK;
	} else {
		struct udp *udp = l4;
		if ((void *)(udp + 1) > end || length < sizeof(*udp))
			return OUTCOME_ODD;
		seen->covered = bpf_ntohs(udp->length);
		if (seen->covered < sizeof(*udp) || seen->covered > length)
			return OUTCOME_ODD;
		seen->checksum = udp->checksum;
		seen->checksum_at = 6;
		seen->is_end = 0;
	}
	pseudo += bpf_htons(proto) + bpf_htons(seen->covered);
	seen->is_partial = seen->checksum == fold(pseudo);
	return OUTCOME_FORWARDED;
}

/* Whether the flow's packet may be forwarded here, and by which way. */
static __always_inline __u32 judge(const struct cache *cache, const struct flow *flow, __u32 proto,
				   const struct seen *seen, const struct server **server,
				   const struct path **path)
{
	if (flow->is_closed || seen->is_end)
		return OUTCOME_END;
	__u32 index = flow->server;
	struct server *its = bpf_map_lookup_elem(&lvsd_server, &index);
	if (flow->epoch != cache->epoch || !its || !its->is_there)
		return OUTCOME_STALE;
	*server = its;
	*path = &its->path;
	if (flow->rewrite == REWRITE_SOURCE) {
		index = flow->path;
		*path = bpf_map_lookup_elem(&lvsd_path, &index);
	}
	if (!*path || !(*path)->ifindex)
		return OUTCOME_STALE;
	if (seen->ttl <= 1)
		return OUTCOME_TTL;
	if (seen->length > (flow->rewrite == REWRITE_TUNNEL ? (*path)->tunnel_mtu : (*path)->mtu))
		return OUTCOME_TOO_BIG;
	/* NAT computes a checksum that UDP left out. */
	if (flow->rewrite <= REWRITE_SOURCE && proto == PROTO_UDP && !seen->checksum)
		return OUTCOME_CHECKSUM;
	return OUTCOME_FORWARDED;
}

/* Counts a packet of the flow's. */
static __always_inline void account(const struct cache *cache, struct flow *flow, __u32 length)
{
	flow->seen = cache->clock ? cache->clock : bpf_ktime_get_coarse_ns() >> 20;
	__sync_fetch_and_add(&flow->packets, 1);
	__u32 index = flow->server;
	struct tally *tally = bpf_map_lookup_elem(&lvsd_tally, &index);
	if (!tally)
		return;
	if (flow->rewrite == REWRITE_SOURCE) {
		tally->out_packets += 1;
		tally->out_bytes += length;
	} else {
		tally->in_packets += 1;
		tally->in_bytes += length;
	}
}

/* Sends the frame out of the path's interface. */
static __always_inline int leave(struct xdp_md *xdp, const struct path *path)
{
	__u32 device = path->device;
	if (path->ifindex == xdp->ingress_ifindex && (device & TRANSMITS))
		return XDP_TX;
	return bpf_redirect_map(&lvsd_device, device & ~TRANSMITS, XDP_DROP);
}

static __always_inline __u32 overhead_of(const struct server *server)
{
	__u32 shim = server->encapsulation == ENCAPSULATION_GUE ? sizeof(struct udp) + sizeof(struct gue) :
		     server->encapsulation == ENCAPSULATION_GRE ? sizeof(struct gre) : 0;
	return shim + (server->is_outer_v6 ? sizeof(struct ipv6) : sizeof(struct ipv4));
}

/* TOS or traffic class of the outer header: "congestion experienced" starts anew as ECT(0) (RFC 3168, 9.1.1). */
static __always_inline __u8 outer_tos(__u8 tos)
{
	return (tos & 3) == 3 ? (tos & ~3) | 2 : tos;
}

/* Writes the outer headers into the room made in front of the packet. Not 0 where there is none, which cannot be. */
static __always_inline int wrap(struct xdp_md *xdp, const struct flow *flow, const struct server *server,
				const struct seen *seen, int is_v6)
{
	void *data = (void *)(long)xdp->data, *end = (void *)(long)xdp->data_end;
	struct ethernet *ethernet = data;
	__u32 overhead = overhead_of(server);
	__u8 encapsulation = server->encapsulation;
	__u8 inner = is_v6 ? PROTO_IPV6 : PROTO_IPIP;
	__u8 proto = encapsulation == ENCAPSULATION_GUE ? PROTO_UDP :
		     encapsulation == ENCAPSULATION_GRE ? PROTO_GRE : inner;
	__u8 tos = outer_tos(seen->tos);
	void *shim;

	if (server->is_outer_v6) {
		struct ipv6 *outer = data + sizeof(*ethernet);
		if ((void *)(outer + 1) > end)
			return -1;
		ethernet->type = bpf_htons(ETHERTYPE_IPV6);
		outer->version_class_flow = bpf_htonl(6u << 28 | (__u32)tos << 20);
		outer->payload_length = bpf_htons(seen->length + overhead - sizeof(*outer));
		outer->next = proto;
		outer->hop_limit = seen->ttl - 1;
		__builtin_memcpy(outer->source, server->local.word, 16);
		__builtin_memcpy(outer->destination, server->remote.word, 16);
		shim = outer + 1;
	} else {
		struct ipv4 *outer = data + sizeof(*ethernet);
		if ((void *)(outer + 1) > end)
			return -1;
		int dont_fragment = server->pmtu_disc && seen->dont_fragment && !is_v6;
		ethernet->type = bpf_htons(ETHERTYPE_IPV4);
		outer->version_length = 0x45;
		outer->tos = tos;
		outer->total_length = bpf_htons(seen->length + overhead);
		outer->id = dont_fragment ? 0 : bpf_get_prandom_u32();
		outer->fragment = dont_fragment ? bpf_htons(IPV4_DONT_FRAGMENT) : 0;
		outer->ttl = seen->ttl - 1;
		outer->proto = proto;
		outer->checksum = 0;
		outer->source = server->local.word[3];
		outer->destination = server->remote.word[3];
		__u16 *word = (__u16 *)outer;
		__u64 sum = 0;
#pragma unroll
		for (int i = 0; i < 10; i++)
			sum += word[i];
		outer->checksum = ~fold(sum);
		shim = outer + 1;
	}
	if (encapsulation == ENCAPSULATION_GUE) {
		struct udp *udp = shim;
		struct gue *gue = shim + sizeof(*udp);
		if ((void *)(gue + 1) > end)
			return -1;
		udp->ports.source = flow->gue_port;
		udp->ports.destination = server->gue_port;
		udp->length = bpf_htons(seen->length + sizeof(*udp) + sizeof(*gue));
		udp->checksum = 0;
		gue->version_control_length = 0;
		gue->proto = inner;
		gue->flags = 0;
	} else if (encapsulation == ENCAPSULATION_GRE) {
		struct gre *gre = shim;
		if ((void *)(gre + 1) > end)
			return -1;
		gre->flags = 0;
		gre->type = bpf_htons(is_v6 ? ETHERTYPE_IPV6 : ETHERTYPE_IPV4);
	}
	return 0;
}

/*
 * The transport header with its new port and checksum. `base` is what the new checksum is reckoned from, `change`
 * what the addresses add to it.
 */
static __always_inline int write_transport(void *l4, void *end, const struct flow *flow, __u32 proto, __u32 base,
					   __u64 change, int computes)
{
	struct ports *ports = l4;
	__u16 *checksum = l4 + (proto == PROTO_TCP ? 16 : 6);
	if ((void *)(ports + 1) > end || (void *)(checksum + 1) > end)
		return -1;
	if (flow->rewrite == REWRITE_DESTINATION) {
		change += (__u16)~ports->destination + (__u64)flow->port;
		ports->destination = flow->port;
	} else if (flow->rewrite == REWRITE_SOURCE) {
		change += (__u16)~ports->source + (__u64)flow->port;
		ports->source = flow->port;
	} else if (!computes) {
		return 0;
	}
	__u16 value = ~fold(base + change);
	if (proto == PROTO_UDP && !value)
		value = 0xffff;
	*checksum = value;
	return 0;
}

/* The sum the new transport checksum is reckoned from; -1 where it cannot be made. */
static __always_inline int base_of(struct xdp_md *xdp, __u32 l4, const struct seen *seen)
{
	if (seen->is_partial)
		return sum_of(xdp, l4, seen->covered);
	return (__u16)~seen->checksum;
}

/* Cuts Ethernet's padding off and makes room for a tunnel's headers; not 0 when user space has to. */
static __always_inline int make_room(struct xdp_md *xdp, const struct seen *seen, __u32 overhead)
{
	__u32 frame = (__u32)(xdp->data_end - xdp->data);
	__u32 wanted = sizeof(struct ethernet) + seen->length;
	if (frame > wanted && bpf_xdp_adjust_tail(xdp, -(int)(frame - wanted)))
		return -1;
	return overhead && bpf_xdp_adjust_head(xdp, -(int)overhead);
}

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
		__u64 differs = *(volatile __u64 *)&slot->key.word[last] ^ key->word[last];        \
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

static __always_inline void close4(const struct cache *cache, struct flow4 *flow)
{
	const struct key4 *key = &flow->key;
	struct key4 back = { .proto = key->proto, .state = STATE_LIVE };
	flow->flow.is_closed = 1;
	if (flow->flow.rewrite == REWRITE_DESTINATION) {
		back.source = flow->address;
		back.ports.source = flow->flow.port;
		back.destination = key->source;
		back.ports.destination = key->ports.source;
	} else if (flow->flow.rewrite == REWRITE_SOURCE) {
		back.source = key->destination;
		back.ports.source = key->ports.destination;
		back.destination = flow->address;
		back.ports.destination = flow->flow.port;
	} else {
		return;
	}
	struct flow4 *other = find4(cache, &back);
	if (other)
		other->flow.is_closed = 1;
}

static __always_inline void close6(const struct cache *cache, struct flow6 *flow)
{
	const struct key6 *key = &flow->key;
	struct key6 back = { .proto = key->proto, .state = STATE_LIVE };
	flow->flow.is_closed = 1;
	if (flow->flow.rewrite == REWRITE_DESTINATION) {
		__builtin_memcpy(back.source, flow->address, 16);
		back.ports.source = flow->flow.port;
		__builtin_memcpy(back.destination, key->source, 16);
		back.ports.destination = key->ports.source;
	} else if (flow->flow.rewrite == REWRITE_SOURCE) {
		__builtin_memcpy(back.source, key->destination, 16);
		back.ports.source = key->ports.destination;
		__builtin_memcpy(back.destination, flow->address, 16);
		back.ports.destination = flow->flow.port;
	} else {
		return;
	}
	struct flow6 *other = find6(cache, &back);
	if (other)
		other->flow.is_closed = 1;
}

/* Forwards an IPv4 packet whose flow is known. OUTCOME_FORWARDED with `action` set, or why not. */
__attribute__((noinline)) int forward4(struct xdp_md *xdp, int *action)
{
	void *data = (void *)(long)xdp->data, *end = (void *)(long)xdp->data_end;
	struct ipv4 *ip = data + sizeof(struct ethernet);
	struct seen seen = {};
	__u32 zero = 0;

	struct cache *cache = bpf_map_lookup_elem(&lvsd_cache, &zero);
	if (!cache || !cache->epoch || !action)
		return OUTCOME_OFF;
	if ((void *)(ip + 1) > end || ip->version_length != 0x45 ||
	    (ip->fragment & bpf_htons(IPV4_MORE_OR_OFFSET)))
		return OUTCOME_ODD;
	__u32 proto = ip->proto;
	if (proto != PROTO_TCP && proto != PROTO_UDP)
		return OUTCOME_UNKNOWN;
	seen.length = bpf_ntohs(ip->total_length);
	if (seen.length < sizeof(*ip) || sizeof(struct ethernet) + seen.length > (__u32)(end - data))
		return OUTCOME_ODD;
	seen.ttl = ip->ttl;
	seen.tos = ip->tos;
	seen.dont_fragment = !!(ip->fragment & bpf_htons(IPV4_DONT_FRAGMENT));
	__u16 *word = (__u16 *)ip;
	__u64 sum = 0;
#pragma unroll
	for (int i = 0; i < 10; i++)
		sum += word[i];
	__u64 addresses = (__u64)ip->source + ip->destination;
	__u32 outcome = look_at_transport(ip + 1, end, proto, seen.length - sizeof(*ip), addresses, &seen);
	if (outcome != OUTCOME_FORWARDED || fold(sum) != 0xffff)
		return OUTCOME_ODD;

	struct ports *ports = (void *)(ip + 1);
	struct key4 key = {
		.source = ip->source,
		.destination = ip->destination,
		.ports = *ports,
		.proto = proto,
		.state = STATE_LIVE,
	};
	struct flow4 *known = find4(cache, &key);
	if (!known)
		return OUTCOME_UNKNOWN;
	struct flow *flow = &known->flow;
	if (seen.is_end)
		close4(cache, known);
	const struct server *server;
	const struct path *path;
	outcome = judge(cache, flow, proto, &seen, &server, &path);
	if (outcome != OUTCOME_FORWARDED)
		return outcome;

	int is_tunnel = flow->rewrite == REWRITE_TUNNEL;
	int base = base_of(xdp, sizeof(struct ethernet) + sizeof(*ip), &seen);
	__u32 overhead = is_tunnel ? overhead_of(server) & OVERHEAD_MASK : 0;
	if (base < 0 || make_room(xdp, &seen, overhead))
		return OUTCOME_CHECKSUM;

	data = (void *)(long)xdp->data;
	end = (void *)(long)xdp->data_end;
	struct ethernet *ethernet = data;
	ip = data + sizeof(*ethernet) + overhead;
	if ((void *)(ethernet + 1) > end || (void *)(ip + 1) > end) {
		*action = XDP_DROP;
		return OUTCOME_FORWARDED;
	}
	__u64 change = 0;
	if (flow->rewrite == REWRITE_DESTINATION) {
		change = (__u64)(__u32)~ip->destination + known->address;
		ip->destination = known->address;
	} else if (flow->rewrite == REWRITE_SOURCE) {
		change = (__u64)(__u32)~ip->source + known->address;
		ip->source = known->address;
	}
	/* One less of TTL is one less of a word's first octet. */
	__u64 header = change + (__u16)~ip->checksum + bpf_htons(0xfeff);
	ip->ttl -= 1;
	ip->checksum = ~fold(header);
	if (write_transport(ip + 1, end, flow, proto, base, change, seen.is_partial) ||
	    (is_tunnel && wrap(xdp, flow, server, &seen, 0))) {
		*action = XDP_DROP;
		return OUTCOME_FORWARDED;
	}
	if (!is_tunnel)
		ethernet->type = bpf_htons(ETHERTYPE_IPV4);
	__builtin_memcpy(ethernet->destination, path->destination, 6);
	__builtin_memcpy(ethernet->source, path->source, 6);
	account(cache, flow, seen.length);
	*action = leave(xdp, path);
	return OUTCOME_FORWARDED;
}

/* Forwards an IPv6 packet whose flow is known, as forward4() does. */
__attribute__((noinline)) int forward6(struct xdp_md *xdp, int *action)
{
	void *data = (void *)(long)xdp->data, *end = (void *)(long)xdp->data_end;
	struct ipv6 *ip = data + sizeof(struct ethernet);
	struct seen seen = { .dont_fragment = 1 };
	__u32 zero = 0;

	struct cache *cache = bpf_map_lookup_elem(&lvsd_cache, &zero);
	if (!cache || !cache->epoch || !action)
		return OUTCOME_OFF;
	if ((void *)(ip + 1) > end || bpf_ntohl(ip->version_class_flow) >> 28 != 6 || is_extension(ip->next))
		return OUTCOME_ODD;
	__u32 proto = ip->next;
	if (proto != PROTO_TCP && proto != PROTO_UDP)
		return OUTCOME_UNKNOWN;
	seen.length = bpf_ntohs(ip->payload_length) + sizeof(*ip);
	if (sizeof(struct ethernet) + seen.length > (__u32)(end - data))
		return OUTCOME_ODD;
	seen.ttl = ip->hop_limit;
	seen.tos = bpf_ntohl(ip->version_class_flow) >> 20;
	__u64 addresses = 0;
#pragma unroll
	for (int i = 0; i < 4; i++)
		addresses += (__u64)ip->source[i] + ip->destination[i];
	__u32 outcome = look_at_transport(ip + 1, end, proto, seen.length - sizeof(*ip), addresses, &seen);
	if (outcome != OUTCOME_FORWARDED)
		return OUTCOME_ODD;

	struct ports *ports = (void *)(ip + 1);
	struct key6 key = { .ports = *ports, .proto = proto, .state = STATE_LIVE };
	__builtin_memcpy(key.source, ip->source, 16);
	__builtin_memcpy(key.destination, ip->destination, 16);
	struct flow6 *known = find6(cache, &key);
	if (!known)
		return OUTCOME_UNKNOWN;
	struct flow *flow = &known->flow;
	if (seen.is_end)
		close6(cache, known);
	const struct server *server;
	const struct path *path;
	outcome = judge(cache, flow, proto, &seen, &server, &path);
	if (outcome != OUTCOME_FORWARDED)
		return outcome;

	int is_tunnel = flow->rewrite == REWRITE_TUNNEL;
	int base = base_of(xdp, sizeof(struct ethernet) + sizeof(*ip), &seen);
	__u32 overhead = is_tunnel ? overhead_of(server) & OVERHEAD_MASK : 0;
	if (base < 0 || make_room(xdp, &seen, overhead))
		return OUTCOME_CHECKSUM;

	data = (void *)(long)xdp->data;
	end = (void *)(long)xdp->data_end;
	struct ethernet *ethernet = data;
	ip = data + sizeof(*ethernet) + overhead;
	if ((void *)(ethernet + 1) > end || (void *)(ip + 1) > end) {
		*action = XDP_DROP;
		return OUTCOME_FORWARDED;
	}
	__u64 change = 0;
	if (flow->rewrite <= REWRITE_SOURCE) {
		__be32 *address = flow->rewrite == REWRITE_DESTINATION ? ip->destination : ip->source;
#pragma unroll
		for (int i = 0; i < 4; i++) {
			change += (__u64)(__u32)~address[i] + known->address[i];
			address[i] = known->address[i];
		}
	}
	ip->hop_limit -= 1;
	if (write_transport(ip + 1, end, flow, proto, base, change, seen.is_partial) ||
	    (is_tunnel && wrap(xdp, flow, server, &seen, 1))) {
		*action = XDP_DROP;
		return OUTCOME_FORWARDED;
	}
	if (!is_tunnel)
		ethernet->type = bpf_htons(ETHERTYPE_IPV6);
	__builtin_memcpy(ethernet->destination, path->destination, 6);
	__builtin_memcpy(ethernet->source, path->source, 6);
	account(cache, flow, seen.length);
	*action = leave(xdp, path);
	return OUTCOME_FORWARDED;
}

/* Forwards a packet whose flow is known; OUTCOME_FORWARDED with `action` set, or why not. */
static __always_inline __u32 forward_known(struct xdp_md *xdp, int *action)
{
	void *data = (void *)(long)xdp->data, *end = (void *)(long)xdp->data_end;
	struct ethernet *ethernet = data;
	if ((void *)(ethernet + 1) > end)
		return OUTCOME_ODD;
	if (ethernet->type == bpf_htons(ETHERTYPE_IPV4))
		return forward4(xdp, action);
	if (ethernet->type == bpf_htons(ETHERTYPE_IPV6))
		return forward6(xdp, action);
	return OUTCOME_ODD;
}

#endif
