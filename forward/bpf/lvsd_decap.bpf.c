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
} __attribute__((packed));

#define GRE_CHECKSUM 0x8000
#define GRE_KEY 0x2000
#define GRE_SEQUENCE 0x1000
#define GRE_KNOWN (GRE_CHECKSUM | GRE_KEY | GRE_SEQUENCE)

struct udp {
	struct ports ports;
	__be16 length;
	__be16 checksum;
} __attribute__((packed));

struct gue {
	/* Version (2 bits), control (1), length of what follows in words (5). */
	__u8 version_control_length;
	__u8 proto;
	__be16 flags;
} __attribute__((packed));

/* Moves the cursor behind a GRE header; the EtherType of what follows, or 0. */
static __always_inline __u16 skip_gre(struct cursor *cursor)
{
	struct gre *gre = PEEK(cursor, struct gre);
	if (!gre)
		return 0;
	__u16 flags = bpf_ntohs(gre->flags);
	__u16 type = bpf_ntohs(gre->type);
	if (flags & ~GRE_KNOWN)
		return 0;
	cursor->at += sizeof(*gre);
	if (flags & GRE_CHECKSUM)
		cursor->at += 4;
	if (flags & GRE_KEY)
		cursor->at += 4;
	if (flags & GRE_SEQUENCE)
		cursor->at += 4;
	return type;
}

/* Moves the cursor behind UDP and GUE headers; the protocol of what follows, or 0. */
static __always_inline __u8 skip_gue(struct cursor *cursor)
{
	__u32 zero = 0;
	__u32 *port = bpf_map_lookup_elem(&lvsd_gue, &zero);
	struct udp *udp = PEEK(cursor, struct udp);
	if (!udp || !port || !*port || bpf_ntohs(udp->ports.destination) != *port)
		return 0;
	cursor->at += sizeof(*udp);
	struct gue *gue = PEEK(cursor, struct gue);
	if (!gue || gue->version_control_length >> 5)
		return 0;
	__u8 proto = gue->proto;
	cursor->at += sizeof(*gue) + (gue->version_control_length & 0x1f) * 4;
	return proto;
}

static __always_inline __u16 ether_type_of(__u8 proto)
{
	return proto == PROTO_IPIP ? ETHERTYPE_IPV4 : proto == PROTO_IPV6 ? ETHERTYPE_IPV6 : 0;
}

/* Moves the cursor from the outer IP header to the inner one; the EtherType of that, or 0 for no tunnel of ours. */
static __always_inline __u16 skip_outer(struct cursor *cursor, __u16 type)
{
	struct packet outer;
	if (type == ETHERTYPE_IPV4) {
		if (!read_ipv4(cursor, &outer))
			return 0;
	} else if (type != ETHERTYPE_IPV6 || !read_ipv6(cursor, &outer)) {
		return 0;
	}
	if (outer.is_fragment || outer.is_cut)
		return 0;
	if (outer.proto != PROTO_IPIP && outer.proto != PROTO_IPV6 && outer.proto != PROTO_GRE &&
	    outer.proto != PROTO_UDP)
		return 0;
	if (!bpf_map_lookup_elem(&lvsd_outer, &outer.destination))
		return 0;
	if (outer.proto == PROTO_GRE)
		return skip_gre(cursor);
	return ether_type_of(outer.proto == PROTO_UDP ? skip_gue(cursor) : outer.proto);
}

/* Whether the IP header at the cursor is addressed to a VIP. */
static __always_inline int is_for_vip(struct cursor *cursor, __u16 type)
{
	struct address destination;
	if (type == ETHERTYPE_IPV4) {
		struct ipv4 *inner = PEEK(cursor, struct ipv4);
		if (!inner || inner->version_length >> 4 != 4)
			return 0;
		destination = address_v4(inner->destination);
	} else if (type == ETHERTYPE_IPV6) {
		struct ipv6 *inner = PEEK(cursor, struct ipv6);
		if (!inner || (bpf_ntohl(inner->version_class_flow) >> 28) != 6)
			return 0;
		destination = address_v6(inner->destination);
	} else {
		return 0;
	}
	return !!bpf_map_lookup_elem(&lvsd_inner, &destination);
}

/* Cuts `outer` bytes out behind a link-layer header of `link` bytes and gives that the EtherType `type`. */
static __always_inline int cut(struct xdp_md *xdp, __u32 link, __u32 outer, __u16 type)
{
	__u8 header[sizeof(struct ethernet) + MAX_VLAN_TAGS * sizeof(struct vlan)];
	/* Whole words from the front: the tags are 4 bytes and the Ethernet header 14. */
	if (bpf_xdp_load_bytes(xdp, 0, header, sizeof(struct ethernet)))
		return XDP_DROP;
	if (link >= sizeof(struct ethernet) + sizeof(struct vlan) &&
	    bpf_xdp_load_bytes(xdp, sizeof(struct ethernet), header + sizeof(struct ethernet), sizeof(struct vlan)))
		return XDP_DROP;
	if (link > sizeof(struct ethernet) + sizeof(struct vlan) &&
	    bpf_xdp_load_bytes(xdp, sizeof(struct ethernet) + sizeof(struct vlan),
			       header + sizeof(struct ethernet) + sizeof(struct vlan), sizeof(struct vlan)))
		return XDP_DROP;
	if (bpf_xdp_adjust_head(xdp, outer))
		return XDP_DROP;

	type = bpf_htons(type);
	if (link == sizeof(struct ethernet)) {
		__builtin_memcpy(header + 12, &type, sizeof(type));
		return bpf_xdp_store_bytes(xdp, 0, header, 14) ? XDP_DROP : XDP_PASS;
	}
	if (link == sizeof(struct ethernet) + sizeof(struct vlan)) {
		__builtin_memcpy(header + 16, &type, sizeof(type));
		return bpf_xdp_store_bytes(xdp, 0, header, 18) ? XDP_DROP : XDP_PASS;
	}
	__builtin_memcpy(header + 20, &type, sizeof(type));
	return bpf_xdp_store_bytes(xdp, 0, header, 22) ? XDP_DROP : XDP_PASS;
}

SEC("xdp")
int lvsd_decap(struct xdp_md *xdp)
{
	void *start = (void *)(long)xdp->data;
	struct cursor cursor = { .at = start, .end = (void *)(long)xdp->data_end };
	__u16 type = skip_ethernet(&cursor);
	__u32 link = cursor.at - start;
	type = skip_outer(&cursor, type);
	if (!type || !is_for_vip(&cursor, type))
		return XDP_PASS;

	__u32 zero = 0;
	__u64 *decaps = bpf_map_lookup_elem(&lvsd_decaps, &zero);
	if (decaps)
		*decaps += 1;
	return cut(xdp, link, cursor.at - start - link, type);
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
