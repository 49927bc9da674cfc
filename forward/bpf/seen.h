/* SPDX-License-Identifier: MIT OR Apache-2.0 OR GPL-2.0 */
/* What the headers of a plain packet say, and its checksums. */
#ifndef LVSD_SEEN_H
#define LVSD_SEEN_H

#include "flow.h"

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
};

#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_ACK 0x10

struct udp {
	struct ports ports;
	__be16 length;
	__be16 checksum;
};

#define IPV4_DONT_FRAGMENT 0x4000

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

/* The words of an IPv4 header without options: 0xffff folded where its checksum is right. */
static __always_inline __u64 sum_of_ipv4(const struct ipv4 *ip)
{
	const __u32 *word = (const __u32 *)ip;
	__u64 sum = 0;
#pragma unroll
	for (int i = 0; i < 5; i++)
		sum += word[i];
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

#endif
