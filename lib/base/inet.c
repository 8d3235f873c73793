/* SPDX-License-Identifier: MIT */

/* IP addresses as keys: see inet.h. */

#include "lib/base/inet.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

static const uint8_t v4_prefix[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

int inet_ip_parse(const char *text, struct inet_ip *out, struct err *err)
{
	struct inet_ip ip = { 0 };

	memcpy(ip.b, v4_prefix, sizeof(v4_prefix));
	if (inet_pton(AF_INET, text, ip.b + 12) != 1 && inet_pton(AF_INET6, text, ip.b) != 1)
		return err_set(err, ERR_INPUT, "'%.64s' is not an IP address", text);
	*out = ip;
	return 0;
}

bool inet_ip_from_bytes(const void *p, size_t n, struct inet_ip *out)
{
	if (n != 4 && n != 16)
		return false;
	memcpy(out->b, v4_prefix, sizeof(v4_prefix));
	memcpy(out->b + 16 - n, p, n);
	return true;
}

bool inet_ip_from_sockaddr(const struct sockaddr *sa, struct inet_ip *out)
{
	const struct sockaddr_in *in = (const void *)sa;
	const struct sockaddr_in6 *in6 = (const void *)sa;

	if (sa->sa_family == AF_INET)
		return inet_ip_from_bytes(&in->sin_addr, sizeof(in->sin_addr), out);
	return sa->sa_family == AF_INET6 &&
	       inet_ip_from_bytes(&in6->sin6_addr, sizeof(in6->sin6_addr), out);
}

unsigned inet_ip_to_sockaddr(const struct inet_ip *ip, uint16_t port, struct sockaddr_storage *ss)
{
	memset(ss, 0, sizeof(*ss));
	if (inet_ip_is_v4(ip)) {
		struct sockaddr_in *in = (void *)ss;

		in->sin_family = AF_INET;
		in->sin_port = htons(port);
		memcpy(&in->sin_addr, ip->b + 12, 4);
		return sizeof(*in);
	}
	struct sockaddr_in6 *in6 = (void *)ss;

	in6->sin6_family = AF_INET6;
	in6->sin6_port = htons(port);
	memcpy(&in6->sin6_addr, ip->b, 16);
	return sizeof(*in6);
}

bool inet_ip_is_v4(const struct inet_ip *ip)
{
	return memcmp(ip->b, v4_prefix, sizeof(v4_prefix)) == 0;
}

bool inet_ip_is_loopback(const struct inet_ip *ip)
{
	static const struct inet_ip v6 = { .b = { [15] = 1 } };

	return inet_ip_is_v4(ip) ? ip->b[12] == 127 : inet_ip_eq(ip, &v6);
}

bool inet_ip_is_unspecified(const struct inet_ip *ip)
{
	static const uint8_t zero[16];

	return inet_ip_is_v4(ip) ? memcmp(ip->b + 12, zero, 4) == 0 : memcmp(ip->b, zero, 16) == 0;
}

bool inet_ip_is_link_local6(const struct inet_ip *ip)
{
	return ip->b[0] == 0xfe && (ip->b[1] & 0xc0) == 0x80;
}

bool inet_ip_eq(const struct inet_ip *a, const struct inet_ip *b)
{
	return memcmp(a->b, b->b, sizeof(a->b)) == 0;
}

const char *inet_ip_print(const struct inet_ip *ip, char buf[static INET_IP_TEXT_MAX])
{
	const char *s = inet_ip_is_v4(ip) ? inet_ntop(AF_INET, ip->b + 12, buf, INET_IP_TEXT_MAX)
					  : inet_ntop(AF_INET6, ip->b, buf, INET_IP_TEXT_MAX);

	return s ? s : "?";
}

const char *inet_ip_print_port(const struct inet_ip *ip, uint16_t port,
			       char buf[static INET_IP_PORT_TEXT_MAX])
{
	char text[INET_IP_TEXT_MAX];

	(void)snprintf(buf, INET_IP_PORT_TEXT_MAX, inet_ip_is_v4(ip) ? "%s:%u" : "[%s]:%u",
		       inet_ip_print(ip, text), (unsigned)port);
	return buf;
}
