/* SPDX-License-Identifier: MIT OR Apache-2.0 OR GPL-2.0 */
/*
 * The flows that the director has decided about, and what their packets need to know: the maps, and finding a flow.
 *
 * The flows lie in hash tables of our own, in arrays that user space maps: a BPF hash map costs two cache misses and
 * two of the TLB more for each packet, and 45 octets more for each flow. A flow takes half a cache line or a whole
 * one, and never parts of two: with many of them that one miss is most of what a packet costs. So it holds only what
 * no other flow has as well; addresses stand in tables of their own.
 *
 * lvs_forward::io::xdp::flows mirrors everything down to the maps; lvs_forward::io::xdp::table tells how flows are
 * written while this reads them.
 */
#ifndef LVSD_FLOW_H
#define LVSD_FLOW_H

#include "parse.h"

/* How many servers and next hops may have flows here, and how many addresses of services. */
#define SERVERS 16384
#define PATHS 16384
#define SOURCES 65536

/*
 * The last word of a key is written last, and says whether there is a flow at all: without a protocol there is none.
 * Behind the protocol stands what is decided and stays so.
 */
struct key4 {
	union {
		struct {
			__be32 source;
			__be32 destination;
			struct ports ports;
			__u8 proto;
			/* The decision counts while this is the epoch in lvsd_cache; 0 is none. */
			__u8 epoch;
			/* The new port. */
			__be16 port;
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
			__u8 epoch;
			__be16 port;
		};
		__u64 word[5];
	};
};

/* What of the last word is the key: the ports and the protocol. */
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define KEY_PART(word) ((word) << 24)
#else
#define KEY_PART(word) ((word) >> 24)
#endif

enum rewrite {
	REWRITE_DESTINATION = 1,
	REWRITE_SOURCE = 2,
	REWRITE_DIRECT = 3,
	REWRITE_TUNNEL = 4,
};

/* In a flow's `rewrite`: an end of the connection was seen, the rest is user space's. */
#define CLOSED 0x80

/* What stands behind a flow's key. */
struct flow {
	union {
		struct {
			/* When its last packet came, by the cache's clock. */
			__u32 seen;
			/* How many came. */
			__u32 packets;
		};
		/* Written as one: a count that two processors make at one moment may be one less. */
		__u64 counted;
	};
	/* Its server, in lvsd_server and lvsd_tally. */
	__u16 server;
	union {
		/* A reply's way, in lvsd_path. To a server it is the server's own. */
		__u16 path;
		/* The source port of a tunnel by GUE. */
		__be16 gue_port;
	};
	/* A reply's new address, in lvsd_source. To a server it is the server's own. */
	__u16 source;
	__u8 rewrite;
	/* In a home's first slot: no flow whose home this is lies further behind it. The slot's, not the flow's. */
	__u8 reach;
};

struct flow4 {
	struct key4 key;
	struct flow flow;
};

struct flow6 {
	struct key6 key;
	struct flow flow;
	__u64 zero;
};

/* A home of IPv4's flows: a cache line. That of a flow of IPv6 is its slot. */
struct line4 {
	struct flow4 slot[2];
};

_Static_assert(sizeof(struct line4) == 64 && sizeof(struct flow6) == 64, "a flow is in one cache line");

/* A flow lies in the first slot of its home or in one of so many behind that, less one. */
#define WINDOW 64

#define TRANSMITS (1u << 31)

struct path {
	/* A frame's first octets: where it goes and where it comes from. */
	__u8 macs[12];
	/* Octets of the largest IP packet. */
	__u16 mtu;
	/* The same within the server's tunnel; 0 where it has none that can be made here. */
	__u16 tunnel_mtu;
	/* Where it leaves; 0 for a way that cannot be taken now. */
	__u32 ifindex;
	/* The interface's place in lvsd_device; with TRANSMITS where what came in there leaves by XDP_TX. */
	__u32 device;
} __attribute__((aligned(8)));

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
	/* Where NAT leads to. */
	struct address address;
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
	/* How many homes each table has; behind them lie WINDOW slots more. */
	__u32 homes4;
	/* What hashes begin with: nobody outside can say what collides. */
	__u64 seed;
	/* How many flows are to have room. */
	__u32 flows4;
	__u32 homes6;
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
#define CACHE_VERSION 4

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, WINDOW / 2);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct line4);
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

/* The addresses that replies come from. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SOURCES);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct address);
} lvsd_source SEC(".maps");

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

static __always_inline void count_outcome(__u32 outcome)
{
	__u64 *counter = bpf_map_lookup_elem(&lvsd_cached, &outcome);
	if (counter)
		*counter += 1;
}

#endif
