/* SPDX-License-Identifier: MIT OR Apache-2.0 OR GPL-2.0 */
/*
 * Which packets are the director's.
 *
 * A plain TCP, UDP or SCTP packet is looked at where it lies, and only endpoints are looked up that there may be: the
 * ports alone tell for most packets of the host's that they are none. All others are copied out header by header.
 */
#ifndef LVSD_CLAIM_H
#define LVSD_CLAIM_H

#include "parse.h"

/* lvs_forward::io::xdp::claims mirrors everything down to the maps. */

enum role {
	/* A virtual service, matched by a packet's destination. */
	ROLE_SERVICE = 1,
	/* A NAT real server, matched by a packet's source: its packets are replies. */
	ROLE_SERVER = 2,
	/* The outer destination of tunnelled packets, matched in what an ICMP error quotes. */
	ROLE_TUNNEL = 3,
};

struct endpoint {
	struct address address;
	/* 0 stands for every port, and for protocols without one. */
	__be16 port;
	__u8 proto;
	__u8 role;
};

/* Which roles an address has at any port, or a port at any address: bit 1 << role. */
#define HAS_ROLE(roles, role) ((roles) & (1u << (role)))

/* Roles at 16 ports stand in a word of lvsd_port. */
#define PORTS_SHIFT 4
#define PORTS_WORDS (65536 >> PORTS_SHIFT)

struct prefix {
	/* Of the 128 bits of `address`: 96 more than an IPv4 prefix's own. */
	__u32 length;
	struct address address;
};

/* Ports of some protocols that may be marked. Empty when no bit is set. */
struct range {
	/* In host order. */
	__u16 first;
	__u16 last;
	/* Bits of protocol_bit(). */
	__u32 protocols;
};

#define MARKED_RANGES 8

/* What may be marked of all that goes to a prefix; what goes to a prefix around it included. */
struct marked {
	struct range range[MARKED_RANGES];
};

enum setting {
	/* Not 0 when lvsd_prefix has an entry. */
	SETTING_PREFIXES = 0,
	SETTING_COUNT,
};

/* What became of a packet, and why: the index into lvsd_count. */
enum count {
	COUNT_PASSED = 0,
	COUNT_SERVICE,
	COUNT_REPLY,
	COUNT_ICMP,
	COUNT_FRAGMENT,
	COUNT_PREFIX,
	/* Of the director's packets, those dropped because there is no socket. */
	COUNT_NO_SOCKET,
	COUNT_COUNT,
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 131072);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct endpoint);
	__type(value, __u32);
} lvsd_vip SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 131072);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct address);
	__type(value, __u32);
} lvsd_address SEC(".maps");

/* The roles that some address has at a port, in four bits: those of port 0 are of addresses that have them at all. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, PORTS_WORDS);
	__type(key, __u32);
	__type(value, __u64);
} lvsd_port SEC(".maps");

/* Destinations of which something may be marked: services on firewall marks. */
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 16384);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct prefix);
	__type(value, struct marked);
} lvsd_prefix SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SETTING_COUNT);
	__type(key, __u32);
	__type(value, __u32);
} lvsd_setting SEC(".maps");

static __always_inline __u32 roles_of(const struct address *address)
{
	__u32 *roles = bpf_map_lookup_elem(&lvsd_address, address);
	return roles ? *roles : 0;
}

static __always_inline __u32 roles_at(__be16 port)
{
	__u32 number = bpf_ntohs(port);
	__u32 index = number >> PORTS_SHIFT;
	__u64 *word = bpf_map_lookup_elem(&lvsd_port, &index);
	return word ? *word >> (number & ((1 << PORTS_SHIFT) - 1)) * 4 & 0xf : 0;
}

static __always_inline int is_endpoint_at(struct endpoint *endpoint, __be16 port)
{
	if (!HAS_ROLE(roles_at(port), endpoint->role))
		return 0;
	endpoint->port = port;
	return !!bpf_map_lookup_elem(&lvsd_vip, endpoint);
}

static __always_inline int is_endpoint(const struct address *address, __be16 port, __u32 proto, __u8 role)
{
	struct endpoint endpoint = { .address = *address, .proto = proto, .role = role };
	return is_endpoint_at(&endpoint, port) || (port && is_endpoint_at(&endpoint, 0));
}

static __always_inline int has_ports(__u32 proto)
{
	return proto == PROTO_TCP || proto == PROTO_UDP || proto == PROTO_SCTP;
}

static __always_inline const struct marked *marked_at(const struct address *destination)
{
	__u32 index = SETTING_PREFIXES;
	__u32 *prefixes = bpf_map_lookup_elem(&lvsd_setting, &index);
	if (!prefixes || !*prefixes)
		return 0;
	struct prefix prefix = { .length = 128, .address = *destination };
	const struct marked *marked = bpf_map_lookup_elem(&lvsd_prefix, &prefix);
	return marked && marked->range[0].protocols ? marked : 0;
}

static __always_inline __u32 protocol_bit(__u32 proto)
{
	return proto == PROTO_TCP ? 1 : proto == PROTO_UDP ? 2 : proto == PROTO_SCTP ? 4 : 0;
}

/* Whether what goes to `port` may be marked; the ranges do not grow in number with the rules. */
static __always_inline int is_marked(const struct marked *marked, __u32 proto, __u16 port)
{
	__u32 bit = protocol_bit(proto);
#pragma unroll
	for (int i = 0; i < MARKED_RANGES; i++) {
		const struct range *range = &marked->range[i];
		if ((range->protocols & bit) && port >= range->first && port <= range->last)
			return 1;
	}
	return 0;
}

/* RFC 792: unreachable, source quench, time exceeded, parameter problem. */
static __always_inline int is_icmp_error(__u8 type)
{
	return type == 3 || type == 4 || type == 11 || type == 12;
}

/* RFC 4443: the errors that exist; others below 128 are unassigned. */
static __always_inline int is_icmpv6_error(__u8 type)
{
	return type >= 1 && type <= 4;
}

/*
 * Whether the packet quoted at `offset` is one the director sent: to a client (its source is a service), to a NAT
 * real server (its destination is one) or to a tunnel's far end.
 */
__attribute__((noinline)) int quotes_ours(struct xdp_md *xdp, __u32 offset, int is_v6)
{
	struct packet quoted = {};
	offset = is_v6 ? read_ipv6(xdp, offset, &quoted) : read_ipv4(xdp, offset, &quoted);
	if (!offset)
		return 0;
	__u32 from = roles_of(&quoted.source);
	__u32 to = roles_of(&quoted.destination);
	if (!HAS_ROLE(from, ROLE_SERVICE) && !HAS_ROLE(to, ROLE_SERVER) && !HAS_ROLE(to, ROLE_TUNNEL))
		return 0;

	struct ports ports = { 0, 0 };
	if (has_ports(quoted.proto) && (quoted.is_later_fragment || READ(xdp, offset, ports)))
		return 1;
	return is_endpoint(&quoted.source, ports.source, quoted.proto, ROLE_SERVICE) ||
	       is_endpoint(&quoted.destination, ports.destination, quoted.proto, ROLE_SERVER) ||
	       is_endpoint(&quoted.destination, ports.destination, quoted.proto, ROLE_TUNNEL);
}

/* Whose a packet with ports is: the destination decides, then the source. */
static __always_inline int whose(const struct address *source, const struct address *destination,
				 struct ports ports, __u32 proto)
{
	if (is_endpoint(destination, ports.destination, proto, ROLE_SERVICE))
		return COUNT_SERVICE;
	if (is_endpoint(source, ports.source, proto, ROLE_SERVER))
		return COUNT_REPLY;
	const struct marked *marked = marked_at(destination);
	if (marked && is_marked(marked, proto, bpf_ntohs(ports.destination)))
		return COUNT_PREFIX;
	return COUNT_PASSED;
}

/* Why a frame of any kind is the director's, or COUNT_PASSED. */
__attribute__((noinline)) int claim_any(struct xdp_md *xdp)
{
	struct packet packet = {};
	struct link link = read_link(xdp);
	int is_v6 = link.type == ETHERTYPE_IPV6;
	__u32 offset;
	if (is_v6)
		offset = read_ipv6(xdp, link.length, &packet);
	else if (link.type == ETHERTYPE_IPV4)
		offset = read_ipv4(xdp, link.length, &packet);
	else
		return COUNT_PASSED;
	if (!offset)
		return COUNT_PASSED;

	const struct marked *marked = marked_at(&packet.destination);
	__u32 to = roles_of(&packet.destination);
	__u32 from = roles_of(&packet.source);

	if (packet.proto == (is_v6 ? PROTO_ICMPV6 : PROTO_ICMP) && !packet.is_cut) {
		struct icmp icmp;
		/* Errors fit into one packet; what comes in parts is a long ping. */
		if (packet.is_fragment || READ(xdp, offset, icmp))
			return COUNT_PASSED;
		if (!(is_v6 ? is_icmpv6_error(icmp.type) : is_icmp_error(icmp.type)))
			return COUNT_PASSED;
		if (marked || HAS_ROLE(to, ROLE_SERVICE))
			return COUNT_ICMP;
		return quotes_ours(xdp, offset + sizeof(icmp), is_v6) ? COUNT_ICMP : COUNT_PASSED;
	}

	if (!marked && !HAS_ROLE(to, ROLE_SERVICE) && !HAS_ROLE(from, ROLE_SERVER))
		return COUNT_PASSED;
	/* The parts of one datagram stay together, and only the first has ports. */
	if (packet.is_fragment || packet.is_cut)
		return COUNT_FRAGMENT;
	struct ports ports;
	if (!has_ports(packet.proto) || READ(xdp, offset, ports))
		return COUNT_PASSED;
	return whose(&packet.source, &packet.destination, ports, packet.proto);
}

/* What is no plain packet of IPv4 or IPv6 with ports. */
#define NOT_PLAIN -1

/* Why a plain IPv4 packet is the director's, or COUNT_PASSED, or NOT_PLAIN. */
__attribute__((noinline)) int claim_plain4(struct xdp_md *xdp)
{
	void *data = (void *)(long)xdp->data, *end = (void *)(long)xdp->data_end;
	struct ipv4 *ip = data + sizeof(struct ethernet);
	struct ports *ports = (void *)(ip + 1);
	if ((void *)(ports + 1) > end || ip->version_length != 0x45 ||
	    (ip->fragment & bpf_htons(IPV4_MORE_OR_OFFSET)) || !has_ports(ip->proto))
		return NOT_PLAIN;
	struct address source = address_v4(ip->source), destination = address_v4(ip->destination);
	return whose(&source, &destination, *ports, ip->proto);
}

/* The same of IPv6. */
__attribute__((noinline)) int claim_plain6(struct xdp_md *xdp)
{
	void *data = (void *)(long)xdp->data, *end = (void *)(long)xdp->data_end;
	struct ipv6 *ip = data + sizeof(struct ethernet);
	struct ports *ports = (void *)(ip + 1);
	if ((void *)(ports + 1) > end || bpf_ntohl(ip->version_class_flow) >> 28 != 6 || !has_ports(ip->next))
		return NOT_PLAIN;
	struct address source = address_v6(ip->source), destination = address_v6(ip->destination);
	return whose(&source, &destination, *ports, ip->next);
}

/* Why the frame, whose EtherType is `type`, is the director's, or COUNT_PASSED. */
static __always_inline int claim(struct xdp_md *xdp, __be16 type)
{
	int reason = NOT_PLAIN;
	if (type == bpf_htons(ETHERTYPE_IPV4))
		reason = claim_plain4(xdp);
	else if (type == bpf_htons(ETHERTYPE_IPV6))
		reason = claim_plain6(xdp);
	return reason == NOT_PLAIN ? claim_any(xdp) : reason;
}

#endif
