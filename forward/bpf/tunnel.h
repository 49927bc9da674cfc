/* SPDX-License-Identifier: MIT OR Apache-2.0 OR GPL-2.0 */
/* The outer headers of a packet into a server's tunnel. */
#ifndef LVSD_TUNNEL_H
#define LVSD_TUNNEL_H

#include "flow.h"
#include "seen.h"

struct gue {
	__u8 version_control_length;
	__u8 proto;
	__be16 flags;
};

struct gre {
	__be16 flags;
	__be16 type;
};

/* The most that a tunnel puts before a packet: IPv6, UDP, GUE. */
#define OVERHEAD_MASK 63

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
static __always_inline int wrap(struct xdp_md *xdp, __be16 gue_port, const struct server *server,
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
		outer->checksum = ~fold(sum_of_ipv4(outer));
		shim = outer + 1;
	}
	if (encapsulation == ENCAPSULATION_GUE) {
		struct udp *udp = shim;
		struct gue *gue = shim + sizeof(*udp);
		if ((void *)(gue + 1) > end)
			return -1;
		udp->ports.source = gue_port;
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

#endif
