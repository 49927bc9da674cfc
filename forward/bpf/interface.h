/* SPDX-License-Identifier: MIT OR Apache-2.0 OR GPL-2.0 */
/* The interfaces that the program is attached to: where their sockets are, and which frames are addressed to them. */
#ifndef LVSD_INTERFACE_H
#define LVSD_INTERFACE_H

#include "parse.h"

/* lvs_forward::io::xdp::interfaces mirrors everything down to the maps. */

/* Slots for interfaces. One is in the slot that its number names, or shortly behind it. */
#define INTERFACES 256
#define PROBES 64

struct interface {
	/* Its number; 0 in a slot that was never used. */
	__u32 ifindex;
	/* Where its queues begin in lvsd_xsk. */
	__u32 base;
	/* Its Ethernet address, then two octets of zero. */
	__u8 mac[8];
};

/* Of a frame's first eight octets, or of `mac`: the address. */
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define MAC_PART(word) ((word) << 16)
#else
#define MAC_PART(word) ((word) >> 16)
#endif

/* Another address by which frames reach an interface: one that is stacked on it has it. */
struct mac {
	__u32 ifindex;
	__u8 mac[6];
	__u16 zero;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, INTERFACES);
	__type(key, __u32);
	__type(value, struct interface);
} lvsd_interface SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct mac);
	__type(value, __u32);
} lvsd_mac SEC(".maps");

static __always_inline const struct interface *interface_of(__u32 ifindex)
{
	for (__u32 i = 0; i < PROBES; i++) {
		__u32 at = (ifindex + i) % INTERFACES;
		const struct interface *interface = bpf_map_lookup_elem(&lvsd_interface, &at);
		if (!interface || !interface->ifindex)
			return 0;
		if (interface->ifindex == ifindex)
			return interface;
	}
	return 0;
}

/*
 * Whether the frame is addressed to the interface or to one stacked on it: those are the kernel's PACKET_HOST. What
 * was flooded here on its way to another, and what is for all, is not the director's, whatever its IP addresses say.
 */
static __always_inline int is_addressed(const struct interface *interface, const struct ethernet *ethernet)
{
	__u64 first = *(const __u64 *)ethernet, own = *(const __u64 *)interface->mac;
	if (!MAC_PART(first ^ own))
		return 1;
	struct mac mac = { .ifindex = interface->ifindex };
	__builtin_memcpy(mac.mac, ethernet->destination, 6);
	return !!bpf_map_lookup_elem(&lvsd_mac, &mac);
}

#endif
