/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sockaddr;
struct sockaddr_storage;

/*
 * An IP address as a key: always 16 bytes, IPv4 in its mapped form (RFC 4291, 2.5.5.2), so that a
 * peer seen through a dual-stack socket and the same address in a pod's status are equal.
 */
struct inet_ip {
	uint8_t b[16];
};

#define INET_IP_TEXT_MAX 46

int inet_ip_parse(const char *text, struct inet_ip *out, struct err *err);
/* As a packet or the kernel has it: 4 bytes or 16. False, and nothing written, for another size. */
bool inet_ip_from_bytes(const void *p, size_t n, struct inet_ip *out);
bool inet_ip_from_sockaddr(const struct sockaddr *sa, struct inet_ip *out);
/* Fills `ss` as AF_INET or AF_INET6 and gives its length. */
unsigned inet_ip_to_sockaddr(const struct inet_ip *ip, uint16_t port, struct sockaddr_storage *ss);
bool inet_ip_is_v4(const struct inet_ip *ip);
bool inet_ip_is_loopback(const struct inet_ip *ip);
bool inet_ip_is_unspecified(const struct inet_ip *ip);
/* Of IPv6, fe80::/10: each link has its own, so that one alone says nothing. */
bool inet_ip_is_link_local6(const struct inet_ip *ip);
bool inet_ip_eq(const struct inet_ip *a, const struct inet_ip *b);
const char *inet_ip_print(const struct inet_ip *ip, char buf[static INET_IP_TEXT_MAX]);
/* As in a URL: "10.0.0.1:80", "[fd00::1]:80". */
#define INET_IP_PORT_TEXT_MAX (INET_IP_TEXT_MAX + 8)
const char *inet_ip_print_port(const struct inet_ip *ip, uint16_t port,
			       char buf[static INET_IP_PORT_TEXT_MAX]);
