// SPDX-License-Identifier: MIT OR Apache-2.0 OR GPL-2.0
/*
 * The receiving end of the director's tunnels, for a real server whose kernel has no ipip device.
 *
 *   Ethernet [VLAN] | outer IP | [GRE or UDP + GUE] | inner IP ...
 *
 * When the outer destination is one of this host's and the inner one a configured VIP, everything between the link
 * layer's header and the inner IP header is cut out and the host receives the inner packet. All else passes
 * untouched. Outer fragments pass, too: the tunnel must not be fragmented.
 */
#include "parse.h"

/* The host's own addresses, at which tunnels end. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, struct address);
	__type(value, __u32);
} lvsd_outer SEC(".maps");

/* The VIPs. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, struct address);
	__type(value, __u32);
} lvsd_inner SEC(".maps");

/* Element 0: the UDP port of GUE, or 0. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} lvsd_gue SEC(".maps");

/* Element 0: how many packets were unwrapped. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} lvsd_decaps SEC(".maps");

struct gre {
	__be16 flags;
	__be16 type;
};

#define GRE_CHECKSUM 0x8000
#define GRE_KEY 0x2000
#define GRE_SEQUENCE 0x1000
#define GRE_KNOWN (GRE_CHECKSUM | GRE_KEY | GRE_SEQUENCE)

struct udp {
	struct ports ports;
	__be16 length;
	__be16 checksum;
};

struct gue {
	/* Version (2 bits), control (1), length of what follows in words (5). */
	__u8 version_control_length;
	__u8 proto;
	__be16 flags;
};

/* Where the inner packet begins and what it is; type 0 for no tunnel of ours. */
struct inner {
	__u32 offset;
	__u32 type;
};

static const struct inner NONE = { 0, 0 };

static __always_inline struct inner behind_gre(struct xdp_md *xdp, __u32 offset)
{
	struct gre gre;
	if (READ(xdp, offset, gre))
		return NONE;
	__u32 flags = bpf_ntohs(gre.flags);
	if (flags & ~GRE_KNOWN)
		return NONE;
	struct inner inner = { offset + sizeof(gre), bpf_ntohs(gre.type) };
	/* Each of the three known flags stands for a word. */
	inner.offset += 4 * (!!(flags & GRE_CHECKSUM) + !!(flags & GRE_KEY) + !!(flags & GRE_SEQUENCE));
	return inner;
}

static __always_inline __u32 ether_type_of(__u32 proto)
{
	return proto == PROTO_IPIP ? ETHERTYPE_IPV4 : proto == PROTO_IPV6 ? ETHERTYPE_IPV6 : 0;
}

static __always_inline struct inner behind_gue(struct xdp_md *xdp, __u32 offset)
{
	__u32 zero = 0;
	__u32 *port = bpf_map_lookup_elem(&lvsd_gue, &zero);
	struct udp udp;
	struct gue gue;
	if (!port || !*port || READ(xdp, offset, udp) || bpf_ntohs(udp.ports.destination) != *port)
		return NONE;
	/* Version 0 and no control message. */
	if (READ(xdp, offset + sizeof(udp), gue) || gue.version_control_length >> 5)
		return NONE;
	offset += sizeof(udp) + sizeof(gue) + gue.version_control_length * 4;
	struct inner inner = { offset, ether_type_of(gue.proto) };
	return inner;
}

/* The packet inside the one that begins behind `link`. */
static __always_inline struct inner find_inner(struct xdp_md *xdp, struct link link)
{
	struct packet outer = {};
	__u32 offset = 0;
	if (link.type == ETHERTYPE_IPV4)
		offset = read_ipv4(xdp, link.length, &outer);
	else if (link.type == ETHERTYPE_IPV6)
		offset = read_ipv6(xdp, link.length, &outer);
	if (!offset || outer.is_fragment || outer.is_cut)
		return NONE;
	if (!bpf_map_lookup_elem(&lvsd_outer, &outer.destination))
		return NONE;
	if (outer.proto == PROTO_GRE)
		return behind_gre(xdp, offset);
	if (outer.proto == PROTO_UDP)
		return behind_gue(xdp, offset);
	struct inner inner = { offset, ether_type_of(outer.proto) };
	return inner;
}

static __always_inline int is_for_vip(struct xdp_md *xdp, struct inner inner)
{
	struct packet packet = {};
	__u32 end = 0;
	if (inner.type == ETHERTYPE_IPV4)
		end = read_ipv4(xdp, inner.offset, &packet);
	else if (inner.type == ETHERTYPE_IPV6)
		end = read_ipv6(xdp, inner.offset, &packet);
	return end && bpf_map_lookup_elem(&lvsd_inner, &packet.destination);
}

/* Cuts what lies between the link layer's header and the inner packet out of the frame. */
static __always_inline int cut(struct xdp_md *xdp, struct link link, struct inner inner)
{
	struct ethernet ethernet;
	struct vlan tags[MAX_VLAN_TAGS];
	__u32 tagged = link.length - sizeof(ethernet);
	__be16 type = bpf_htons(inner.type);

	if (READ(xdp, 0, ethernet))
		return XDP_DROP;
	if (tagged > 0 && READ(xdp, sizeof(ethernet), tags[0]))
		return XDP_DROP;
	if (tagged > sizeof(tags[0]) && READ(xdp, sizeof(ethernet) + sizeof(tags[0]), tags[1]))
		return XDP_DROP;
	if (bpf_xdp_adjust_head(xdp, inner.offset - link.length))
		return XDP_DROP;

	/* The innermost type is the one that names the packet. */
	if (tagged > sizeof(tags[0])) {
		tags[1].type = type;
		if (bpf_xdp_store_bytes(xdp, sizeof(ethernet) + sizeof(tags[0]), &tags[1], sizeof(tags[1])))
			return XDP_DROP;
	} else if (tagged > 0) {
		tags[0].type = type;
	} else {
		ethernet.type = type;
	}
	if (tagged > 0 && bpf_xdp_store_bytes(xdp, sizeof(ethernet), &tags[0], sizeof(tags[0])))
		return XDP_DROP;
	return bpf_xdp_store_bytes(xdp, 0, &ethernet, sizeof(ethernet)) ? XDP_DROP : XDP_PASS;
}

SEC("xdp")
int lvsd_decap(struct xdp_md *xdp)
{
	struct link link = read_link(xdp);
	struct inner inner = find_inner(xdp, link);
	if (!inner.type || !is_for_vip(xdp, inner))
		return XDP_PASS;

	__u32 zero = 0;
	__u64 *decaps = bpf_map_lookup_elem(&lvsd_decaps, &zero);
	if (decaps)
		*decaps += 1;
	return cut(xdp, link, inner);
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
