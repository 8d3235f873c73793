/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/err.h"

#include <linux/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct inet_ip;
struct nl_msg;
struct nl_sock;
struct nlattr;
struct nlmsghdr;

/*
 * Messages of rtnetlink, for link.c: sockets, what the kernel sends by itself, and questions with their
 * answers. Nothing here ever waits: an answer is queued by the time that its question has been sent. A
 * buffer is the caller's, has RTNL_BYTES, is aligned for netlink, and holds the last that was received.
 */

/* What a dump sends at once, at most (NLMSG_GOODSIZE and what the kernel makes of a larger buffer). */
#define RTNL_BYTES 32768

struct nl_sock *rtnl_open(struct err *err);
/* One datagram of the kernel's; its length, 0 when there is none, or minus an errno. */
int rtnl_receive(struct nl_sock *sk, void *buf);

/* A message that begins with this header; never NULL. */
struct nl_msg *rtnl_new(int type, int flags, const void *header, size_t size);
void rtnl_put(struct nl_msg *msg, int attr, const void *data, size_t n);
/* The bytes of the address, in its own family. */
void rtnl_put_ip(struct nl_msg *msg, int attr, const struct inet_ip *ip);
/* False: there is none, or it is none. */
bool rtnl_get_ip(const struct nlattr *a, struct inet_ip *out);
/* Frees the message; 0, or minus an errno. Answers are received one by one. */
int rtnl_send_take(struct nl_sock *sk, void *buf, struct nl_msg *msg);
/*
 * The same, for the single answer, which is in the buffer: 1, with the attributes that follow its header of
 * this size in `a`; 0: there is none; or minus an errno: the kernel could not be asked.
 */
int rtnl_ask_take(struct nl_sock *sk, void *buf, struct nl_msg *msg, struct nlattr **a, int max,
		  size_t size);

#define RTNL_MAC_BYTES 6

/* What a link of a pod can be; anything else may be the uplink, or carry many. */
enum link_kind { LINK_OTHER, LINK_OWN, LINK_BRIDGE };

struct rtnl_link {
	int ifindex;
	enum link_kind kind;
	int master; /* ifindex of its bridge, or 0 */
	int peer;   /* IFLA_LINK: the other end of a veth */
	bool up;
	uint8_t mac[RTNL_MAC_BYTES];
	char name[IFNAMSIZ];
};

/* RTM_NEWLINK and RTM_DELLINK of rtnetlink(7). False: it is not about the life of a link. */
bool rtnl_read_link(struct nlmsghdr *h, struct rtnl_link *out);
