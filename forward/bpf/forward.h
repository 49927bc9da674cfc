/* SPDX-License-Identifier: MIT OR Apache-2.0 OR GPL-2.0 */
/*
 * Packets of flows that the director has decided about: forwarded here as it would forward them.
 *
 *   frame -> plain IPv4 or IPv6 with TCP or UDP -> a flow in lvsd_flow4/6 -> its server is there, its path known
 *         -> no end of a connection, TTL and size as they should be -> rewritten -> out, by XDP_TX or redirect
 *
 * Anything else is told by a reason and left as it is: the director's user space sees it. Nothing of a packet is
 * changed before all is decided.
 */
#ifndef LVSD_FORWARD_H
#define LVSD_FORWARD_H

#include "find.h"
#include "flow.h"
#include "seen.h"
#include "tunnel.h"

/* What is returned of a packet that was forwarded: OUTCOME_FORWARDED, and above it what XDP is to do. */
#define FORWARDED(action) (OUTCOME_FORWARDED | (action) << 8)
#define OUTCOME(returned) ((returned) & 0xff)
#define ACTION(returned) ((returned) >> 8)

/* What is decided about a packet. */
struct decision {
	const struct server *server;
	const struct path *path;
	/* What NAT puts in. */
	const struct address *address;
	__be16 port;
	__u8 rewrite;
};

/* Whether the flow's packet may be forwarded here, and how; `epoch` is the flow's. */
static __always_inline __u32 judge(const struct cache *cache, const struct flow *flow, __u8 epoch, __u32 proto,
				   const struct seen *seen, struct decision *decision)
{
	__u8 rewrite = flow->rewrite;
	if ((rewrite & CLOSED) || seen->is_end)
		return OUTCOME_END;
	__u32 index = flow->server;
	const struct server *server = bpf_map_lookup_elem(&lvsd_server, &index);
	if (epoch != cache->epoch || !server || !server->is_there)
		return OUTCOME_STALE;
	const struct path *path = &server->path;
	decision->address = &server->address;
	if (rewrite == REWRITE_SOURCE) {
		index = flow->path;
		path = bpf_map_lookup_elem(&lvsd_path, &index);
		index = flow->source;
		decision->address = bpf_map_lookup_elem(&lvsd_source, &index);
	}
	if (!path || !decision->address || !path->ifindex)
		return OUTCOME_STALE;
	if (seen->ttl <= 1)
		return OUTCOME_TTL;
	if (seen->length > (rewrite == REWRITE_TUNNEL ? path->tunnel_mtu : path->mtu))
		return OUTCOME_TOO_BIG;
	/* NAT computes a checksum that UDP left out. */
	if (rewrite <= REWRITE_SOURCE && proto == PROTO_UDP && !seen->checksum)
		return OUTCOME_CHECKSUM;
	decision->server = server;
	decision->path = path;
	decision->rewrite = rewrite;
	return OUTCOME_FORWARDED;
}

/* Counts a packet of the flow's. */
static __always_inline void account(const struct cache *cache, struct flow *flow, __u8 rewrite, __u32 length)
{
	struct flow counted = {
		.seen = cache->clock ? cache->clock : bpf_ktime_get_coarse_ns() >> 20,
		.packets = flow->packets + 1,
	};
	flow->counted = counted.counted;
	__u32 index = flow->server;
	struct tally *tally = bpf_map_lookup_elem(&lvsd_tally, &index);
	if (!tally)
		return;
	if (rewrite == REWRITE_SOURCE) {
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

/*
 * The transport header with its new port and checksum. `base` is what the new checksum is reckoned from, `change`
 * what the addresses add to it.
 */
static __always_inline int write_transport(void *l4, void *end, const struct decision *decision, __u32 proto,
					   __u32 base, __u64 change, int computes)
{
	struct ports *ports = l4;
	__u16 *checksum = l4 + (proto == PROTO_TCP ? 16 : 6);
	if ((void *)(ports + 1) > end || (void *)(checksum + 1) > end)
		return -1;
	if (decision->rewrite == REWRITE_DESTINATION) {
		change += (__u16)~ports->destination + (__u64)decision->port;
		ports->destination = decision->port;
	} else if (decision->rewrite == REWRITE_SOURCE) {
		change += (__u16)~ports->source + (__u64)decision->port;
		ports->source = decision->port;
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

/* Writes the Ethernet header of a frame that leaves by the path. */
static __always_inline void write_link(struct ethernet *ethernet, const struct path *path)
{
	*(__u64 *)ethernet = *(const __u64 *)path->macs;
	*(__u32 *)((void *)ethernet + 8) = *(const __u32 *)(path->macs + 8);
}

/* Forwards an IPv4 packet whose flow is known. FORWARDED() with what is to be done, or why not. */
__attribute__((noinline)) int forward4(struct xdp_md *xdp)
{
	void *data = (void *)(long)xdp->data, *end = (void *)(long)xdp->data_end;
	struct ipv4 *ip = data + sizeof(struct ethernet);
	struct seen seen = {};
	__u32 zero = 0;

	struct cache *cache = bpf_map_lookup_elem(&lvsd_cache, &zero);
	if (!cache || !cache->epoch)
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
	__u64 addresses = (__u64)ip->source + ip->destination;
	__u32 outcome = look_at_transport(ip + 1, end, proto, seen.length - sizeof(*ip), addresses, &seen);
	if (outcome != OUTCOME_FORWARDED || fold(sum_of_ipv4(ip)) != 0xffff)
		return OUTCOME_ODD;

	struct ports *ports = (void *)(ip + 1);
	struct key4 key = {
		.source = ip->source,
		.destination = ip->destination,
		.ports = *ports,
		.proto = proto,
	};
	struct flow4 *known = find4(cache, &key);
	if (!known)
		return OUTCOME_UNKNOWN;
	if (seen.is_end)
		close4(cache, known);
	struct decision decision = { .port = known->key.port };
	outcome = judge(cache, &known->flow, known->key.epoch, proto, &seen, &decision);
	if (outcome != OUTCOME_FORWARDED)
		return outcome;

	int is_tunnel = decision.rewrite == REWRITE_TUNNEL;
	int base = base_of(xdp, sizeof(struct ethernet) + sizeof(*ip), &seen);
	__u32 overhead = is_tunnel ? overhead_of(decision.server) & OVERHEAD_MASK : 0;
	if (base < 0 || make_room(xdp, &seen, overhead))
		return OUTCOME_CHECKSUM;

	data = (void *)(long)xdp->data;
	end = (void *)(long)xdp->data_end;
	struct ethernet *ethernet = data;
	ip = data + sizeof(*ethernet) + overhead;
	if ((void *)(ethernet + 1) > end || (void *)(ip + 1) > end)
		return FORWARDED(XDP_DROP);
	__u64 change = 0;
	__be32 fresh = decision.address->word[3];
	if (decision.rewrite == REWRITE_DESTINATION) {
		change = (__u64)(__u32)~ip->destination + fresh;
		ip->destination = fresh;
	} else if (decision.rewrite == REWRITE_SOURCE) {
		change = (__u64)(__u32)~ip->source + fresh;
		ip->source = fresh;
	}
	/* One less of TTL is one less of a word's first octet. */
	__u64 header = change + (__u16)~ip->checksum + bpf_htons(0xfeff);
	ip->ttl -= 1;
	ip->checksum = ~fold(header);
	if (write_transport(ip + 1, end, &decision, proto, base, change, seen.is_partial) ||
	    (is_tunnel && wrap(xdp, known->flow.gue_port, decision.server, &seen, 0)))
		return FORWARDED(XDP_DROP);
	if (!is_tunnel)
		ethernet->type = bpf_htons(ETHERTYPE_IPV4);
	write_link(ethernet, decision.path);
	account(cache, &known->flow, decision.rewrite, seen.length);
	return FORWARDED(leave(xdp, decision.path));
}

/* Forwards an IPv6 packet whose flow is known, as forward4() does. */
__attribute__((noinline)) int forward6(struct xdp_md *xdp)
{
	void *data = (void *)(long)xdp->data, *end = (void *)(long)xdp->data_end;
	struct ipv6 *ip = data + sizeof(struct ethernet);
	struct seen seen = { .dont_fragment = 1 };
	__u32 zero = 0;

	struct cache *cache = bpf_map_lookup_elem(&lvsd_cache, &zero);
	if (!cache || !cache->epoch)
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
	struct key6 key = { .ports = *ports, .proto = proto };
	__builtin_memcpy(key.source, ip->source, 16);
	__builtin_memcpy(key.destination, ip->destination, 16);
	struct flow6 *known = find6(cache, &key);
	if (!known)
		return OUTCOME_UNKNOWN;
	if (seen.is_end)
		close6(cache, known);
	struct decision decision = { .port = known->key.port };
	outcome = judge(cache, &known->flow, known->key.epoch, proto, &seen, &decision);
	if (outcome != OUTCOME_FORWARDED)
		return outcome;

	int is_tunnel = decision.rewrite == REWRITE_TUNNEL;
	int base = base_of(xdp, sizeof(struct ethernet) + sizeof(*ip), &seen);
	__u32 overhead = is_tunnel ? overhead_of(decision.server) & OVERHEAD_MASK : 0;
	if (base < 0 || make_room(xdp, &seen, overhead))
		return OUTCOME_CHECKSUM;

	data = (void *)(long)xdp->data;
	end = (void *)(long)xdp->data_end;
	struct ethernet *ethernet = data;
	ip = data + sizeof(*ethernet) + overhead;
	if ((void *)(ethernet + 1) > end || (void *)(ip + 1) > end)
		return FORWARDED(XDP_DROP);
	__u64 change = 0;
	if (decision.rewrite <= REWRITE_SOURCE) {
		__be32 *address = decision.rewrite == REWRITE_DESTINATION ? ip->destination : ip->source;
#pragma unroll
		for (int i = 0; i < 4; i++) {
			__be32 fresh = decision.address->word[i];
			change += (__u64)(__u32)~address[i] + fresh;
			address[i] = fresh;
		}
	}
	ip->hop_limit -= 1;
	if (write_transport(ip + 1, end, &decision, proto, base, change, seen.is_partial) ||
	    (is_tunnel && wrap(xdp, known->flow.gue_port, decision.server, &seen, 1)))
		return FORWARDED(XDP_DROP);
	if (!is_tunnel)
		ethernet->type = bpf_htons(ETHERTYPE_IPV6);
	write_link(ethernet, decision.path);
	account(cache, &known->flow, decision.rewrite, seen.length);
	return FORWARDED(leave(xdp, decision.path));
}

/* Forwards a packet whose flow is known; `type` is its EtherType. FORWARDED() with what is to be done, or why not. */
static __always_inline int forward_known(struct xdp_md *xdp, __be16 type)
{
	if (type == bpf_htons(ETHERTYPE_IPV4))
		return forward4(xdp);
	if (type == bpf_htons(ETHERTYPE_IPV6))
		return forward6(xdp);
	return OUTCOME_ODD;
}

#endif
