/* SPDX-License-Identifier: MIT OR Apache-2.0 OR GPL-2.0 */
/*
 * What both programs need to walk a frame: the headers as they lie in it, and a cursor that never leaves it.
 *
 * The kernel's own header files are not used for the protocols, so that the compiled object does not depend on
 * the version of the headers installed.
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
} __attribute__((packed));

struct vlan {
	__be16 tag;
	__be16 type;
} __attribute__((packed));

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
} __attribute__((packed));

#define IPV4_MORE_OR_OFFSET 0x3fff
#define IPV4_OFFSET 0x1fff

struct ipv6 {
	__be32 version_class_flow;
	__be16 payload_length;
	__u8 next;
	__u8 hop_limit;
	__be32 source[4];
	__be32 destination[4];
} __attribute__((packed));

/* Every extension header but the fragment header: its length counts 8 bytes beyond the first 8. */
struct extension {
	__u8 next;
	__u8 length;
} __attribute__((packed));

struct fragment {
	__u8 next;
	__u8 reserved;
	__be16 offset_more;
	__be32 id;
} __attribute__((packed));

#define IPV6_OFFSET 0xfff8

/* TCP, UDP and SCTP all begin with these. */
struct ports {
	__be16 source;
	__be16 destination;
} __attribute__((packed));

/* ICMP and ICMPv6 alike. */
struct icmp {
	__u8 type;
	__u8 code;
	__be16 checksum;
	__be32 rest;
} __attribute__((packed));

struct cursor {
	void *at;
	void *end;
};

/* The next `type` at the cursor, or NULL when the frame ends before it does; the cursor stays. */
#define PEEK(cursor, type) ((cursor)->at + sizeof(type) > (cursor)->end ? NULL : (type *)(cursor)->at)

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

/* Moves the cursor behind the Ethernet header and up to MAX_VLAN_TAGS tags; the EtherType, or 0. */
static __always_inline __u16 skip_ethernet(struct cursor *cursor)
{
	struct ethernet *ethernet = PEEK(cursor, struct ethernet);
	if (!ethernet)
		return 0;
	__u16 type = bpf_ntohs(ethernet->type);
	cursor->at += sizeof(*ethernet);

#pragma unroll
	for (int i = 0; i < MAX_VLAN_TAGS; i++) {
		if (type != ETHERTYPE_VLAN && type != ETHERTYPE_QINQ)
			break;
		struct vlan *vlan = PEEK(cursor, struct vlan);
		if (!vlan)
			return 0;
		type = bpf_ntohs(vlan->type);
		cursor->at += sizeof(*vlan);
	}
	return type;
}

/* The IP header fields the programs decide by, of a packet or of one quoted in an ICMP error. */
struct packet {
	struct address source;
	struct address destination;
	__u8 proto;
	/* Any fragment, the first one too. */
	__u8 is_fragment;
	/* A fragment without the ports: not the first one. */
	__u8 is_later_fragment;
	/* The chain of extension headers could not be followed to its end. */
	__u8 is_cut;
};

/* Reads the IPv4 header at the cursor and moves behind it; false for what is no IPv4 header. */
static __always_inline int read_ipv4(struct cursor *cursor, struct packet *packet)
{
	struct ipv4 *header = PEEK(cursor, struct ipv4);
	if (!header || header->version_length >> 4 != 4)
		return 0;
	__u32 length = (header->version_length & 0xf) * 4;
	if (length < sizeof(*header))
		return 0;
	packet->source = address_v4(header->source);
	packet->destination = address_v4(header->destination);
	packet->proto = header->proto;
	packet->is_fragment = !!(header->fragment & bpf_htons(IPV4_MORE_OR_OFFSET));
	packet->is_later_fragment = !!(header->fragment & bpf_htons(IPV4_OFFSET));
	packet->is_cut = 0;
	cursor->at += length;
	return 1;
}

/* Reads the IPv6 header at the cursor, moves behind it and up to MAX_EXTENSIONS extension headers. */
static __always_inline int read_ipv6(struct cursor *cursor, struct packet *packet)
{
	struct ipv6 *header = PEEK(cursor, struct ipv6);
	if (!header || (bpf_ntohl(header->version_class_flow) >> 28) != 6)
		return 0;
	packet->source = address_v6(header->source);
	packet->destination = address_v6(header->destination);
	packet->is_fragment = 0;
	packet->is_later_fragment = 0;
	packet->is_cut = 0;
	__u8 next = header->next;
	cursor->at += sizeof(*header);

#pragma unroll
	for (int i = 0; i < MAX_EXTENSIONS; i++) {
		if (next == PROTO_FRAGMENT) {
			struct fragment *fragment = PEEK(cursor, struct fragment);
			if (!fragment) {
				packet->is_cut = 1;
				break;
			}
			packet->is_fragment = 1;
			packet->is_later_fragment = !!(fragment->offset_more & bpf_htons(IPV6_OFFSET));
			next = fragment->next;
			cursor->at += sizeof(*fragment);
			if (packet->is_later_fragment)
				break;
		} else if (next == PROTO_HOP_BY_HOP || next == PROTO_ROUTING || next == PROTO_DESTINATION) {
			struct extension *extension = PEEK(cursor, struct extension);
			if (!extension) {
				packet->is_cut = 1;
				break;
			}
			next = extension->next;
			cursor->at += ((__u32)extension->length + 1) * 8;
		} else {
			break;
		}
	}
	if (next == PROTO_HOP_BY_HOP || next == PROTO_ROUTING || next == PROTO_DESTINATION ||
	    next == PROTO_FRAGMENT)
		packet->is_cut = 1;
	packet->proto = next;
	return 1;
}

#endif
