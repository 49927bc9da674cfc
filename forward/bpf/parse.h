/* SPDX-License-Identifier: MIT OR Apache-2.0 OR GPL-2.0 */
/*
 * What both programs need to walk a frame: the headers as they lie in it, and reading them at an offset.
 *
 * Headers are copied out with bpf_xdp_load_bytes and the functions that branch much are global ones: the verifier
 * then looks at each once and alone, where pointers into the packet would have it look at every path through all.
 *
 * The kernel's own header files are not used for the protocols, so that the compiled object does not depend on
 * the version of the headers installed. No header here has gaps by itself; called packed, each would be read octet
 * by octet.
 */
#ifndef LVSD_PARSE_H
#define LVSD_PARSE_H

#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define MAX_VLAN_TAGS 2
/* Extension headers followed in one IPv6 packet; lvs_forward::io::xdp::program documents the number. */
#define MAX_EXTENSIONS 6

#define ETHERTYPE_IPV4 0x0800
#define ETHERTYPE_IPV6 0x86dd
#define ETHERTYPE_VLAN 0x8100
#define ETHERTYPE_QINQ 0x88a8

#define PROTO_HOP_BY_HOP 0
#define PROTO_ICMP 1
#define PROTO_IPIP 4
#define PROTO_TCP 6
#define PROTO_UDP 17
#define PROTO_IPV6 41
#define PROTO_ROUTING 43
#define PROTO_FRAGMENT 44
#define PROTO_GRE 47
#define PROTO_ICMPV6 58
#define PROTO_DESTINATION 60
#define PROTO_SCTP 132

struct ethernet {
	__u8 destination[6];
	__u8 source[6];
	__be16 type;
};

struct vlan {
	__be16 tag;
	__be16 type;
};

struct ipv4 {
	__u8 version_length;
	__u8 tos;
	__be16 total_length;
	__be16 id;
	__be16 fragment;
	__u8 ttl;
	__u8 proto;
	__be16 checksum;
	__be32 source;
	__be32 destination;
};

#define IPV4_MORE_OR_OFFSET 0x3fff
#define IPV4_OFFSET 0x1fff

struct ipv6 {
	__be32 version_class_flow;
	__be16 payload_length;
	__u8 next;
	__u8 hop_limit;
	__be32 source[4];
	__be32 destination[4];
};

/* Other extension headers have their length where this one has `reserved`, in 8 bytes beyond the first 8. */
struct fragment {
	__u8 next;
	__u8 reserved;
	__be16 offset_more;
	__be32 id;
};

#define IPV6_OFFSET 0xfff8

/* TCP, UDP and SCTP all begin with these. */
struct ports {
	__be16 source;
	__be16 destination;
};

/* ICMP and ICMPv6 alike. */
struct icmp {
	__u8 type;
	__u8 code;
	__be16 checksum;
	__be32 rest;
};

/* Copies the header at `offset` into `header`; not 0 when the frame ends before it does. */
#define READ(xdp, offset, header) bpf_xdp_load_bytes(xdp, offset, &(header), sizeof(header))

/* An address as every map has it: IPv4 as ::ffff:a.b.c.d. */
struct address {
	__be32 word[4];
};

static __always_inline struct address address_v4(__be32 word)
{
	struct address address = { .word = { 0, 0, bpf_htonl(0xffff), word } };
	return address;
}

static __always_inline struct address address_v6(const __be32 word[4])
{
	struct address address = { .word = { word[0], word[1], word[2], word[3] } };
	return address;
}

/* Where the link layer's header ends and what follows it. */
struct link {
	__u32 length;
	/* The EtherType; 0 for a frame that ends too early. */
	__u32 type;
};

/* Reads the Ethernet header and up to MAX_VLAN_TAGS tags. */
static __always_inline struct link read_link(struct xdp_md *xdp)
{
	struct link link = { 0, 0 };
	struct ethernet ethernet;
	if (READ(xdp, 0, ethernet))
		return link;
	link.length = sizeof(ethernet);
	link.type = bpf_ntohs(ethernet.type);

#pragma unroll
	for (int i = 0; i < MAX_VLAN_TAGS; i++) {
		struct vlan vlan;
		if (link.type != ETHERTYPE_VLAN && link.type != ETHERTYPE_QINQ)
			break;
		if (READ(xdp, link.length, vlan)) {
			link.type = 0;
			break;
		}
		link.length += sizeof(vlan);
		link.type = bpf_ntohs(vlan.type);
	}
	return link;
}

/* The IP header fields the programs decide by, of a packet or of one quoted in an ICMP error. */
struct packet {
	struct address source;
	struct address destination;
	__u32 proto;
	/* Any fragment, the first one too. */
	__u32 is_fragment;
	/* A fragment without the ports: not the first one. */
	__u32 is_later_fragment;
	/* The chain of extension headers could not be followed to its end. */
	__u32 is_cut;
};

/* Reads the IPv4 header at `offset`; the offset behind it, or 0 for what is no IPv4 header. */
__attribute__((noinline)) int read_ipv4(struct xdp_md *xdp, __u32 offset, struct packet *packet)
{
	struct ipv4 header;
	if (!packet || READ(xdp, offset, header) || header.version_length >> 4 != 4)
		return 0;
	__u32 length = (header.version_length & 0xf) * 4;
	if (length < sizeof(header))
		return 0;
	packet->source = address_v4(header.source);
	packet->destination = address_v4(header.destination);
	packet->proto = header.proto;
	packet->is_fragment = !!(header.fragment & bpf_htons(IPV4_MORE_OR_OFFSET));
	packet->is_later_fragment = !!(header.fragment & bpf_htons(IPV4_OFFSET));
	packet->is_cut = 0;
	return offset + length;
}

static __always_inline int is_extension(__u32 next)
{
	return next == PROTO_HOP_BY_HOP || next == PROTO_ROUTING || next == PROTO_DESTINATION ||
	       next == PROTO_FRAGMENT;
}

/* Reads the IPv6 header at `offset` and up to MAX_EXTENSIONS behind it; the offset behind those, or 0. */
__attribute__((noinline)) int read_ipv6(struct xdp_md *xdp, __u32 offset, struct packet *packet)
{
	struct ipv6 header;
	if (!packet || READ(xdp, offset, header) || bpf_ntohl(header.version_class_flow) >> 28 != 6)
		return 0;
	packet->source = address_v6(header.source);
	packet->destination = address_v6(header.destination);
	packet->is_fragment = 0;
	packet->is_later_fragment = 0;
	packet->is_cut = 0;
	__u32 next = header.next;
	offset += sizeof(header);

	for (int i = 0; i < MAX_EXTENSIONS && is_extension(next); i++) {
		/* The fragment header is as long as the others are at least, and begins like them. */
		struct fragment extension;
		if (READ(xdp, offset, extension))
			break;
		__u32 length = 8;
		if (next == PROTO_FRAGMENT) {
			packet->is_fragment = 1;
			if (extension.offset_more & bpf_htons(IPV6_OFFSET))
				packet->is_later_fragment = 1;
		} else {
			length += extension.reserved * 8;
		}
		next = extension.next;
		offset += length;
		if (packet->is_later_fragment)
			break;
	}
	packet->is_cut = is_extension(next);
	packet->proto = next;
	return offset;
}

#endif
