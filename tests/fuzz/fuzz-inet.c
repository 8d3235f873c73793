/* SPDX-License-Identifier: MIT */

/* A text that is an address is the same address when it is printed, and printed again the same text. */

#include "lib/base/cleanup.h"
#include "lib/base/inet.h"
#include "lib/base/mem.h"
#include "tests/fuzz/fuzz.h"

#include <assert.h>
#include <string.h>
#include <sys/socket.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ char *text = xstrndup((const char *)data, size);
	char first[INET_IP_TEXT_MAX], second[INET_IP_TEXT_MAX], port[INET_IP_PORT_TEXT_MAX];
	struct inet_ip ip = { { 7 } }, again, of_packet;
	struct sockaddr_storage ss;
	struct err err = { 0 };

	if (inet_ip_from_bytes(data, size, &of_packet)) {
		assert(size == 4 || size == 16);
		assert(inet_ip_parse(inet_ip_print(&of_packet, first), &again, NULL) == 0);
		assert(inet_ip_eq(&again, &of_packet));
	}
	if (inet_ip_parse(text, &ip, &err) < 0) {
		assert(err.kind && ip.b[0] == 7);
		return 0;
	}
	inet_ip_print(&ip, first);
	assert(inet_ip_parse(first, &again, NULL) == 0 && inet_ip_eq(&ip, &again));
	assert(strcmp(inet_ip_print(&again, second), first) == 0);
	assert(strlen(inet_ip_print_port(&ip, 65535, port)) >= strlen(first) + 6);
	(void)inet_ip_to_sockaddr(&ip, 1, &ss);
	assert(inet_ip_from_sockaddr((struct sockaddr *)&ss, &again) && inet_ip_eq(&ip, &again));
	return 0;
}
