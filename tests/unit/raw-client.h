/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct loop;

/*
 * An HTTP client that speaks raw bytes, for a server on the same loop, whose clock may be a fake one:
 * reading turns the loop.
 */
struct client {
	struct loop *loop;
	int fd;
	bool eof;
	char buf[128 * 1024]; /* received, not yet taken */
	size_t n;
};

struct answer {
	int status;
	char head[4096];
	char body[65536];
	size_t body_len;
};

/*
 * From now on this process has a loopback of its own: a port that is free stays free. Without the right
 * to that it shares the machine's.
 */
void client_own_network(void);
uint16_t client_free_port(void);
/* Turn the loop until nothing happens any more. */
void client_settle(struct loop *l);
/* `from` NULL: as the kernel chooses; NULL when nobody listens. */
struct client *client_connect(struct loop *l, const char *from, const char *to, uint16_t port);
struct client *client_free(struct client *c);
void client_send(struct client *c, const char *text);
void client_send_bytes(struct client *c, const void *p, size_t n);
/* The next whole answer; false at the end of the stream, or when none comes. */
bool client_next(struct client *c, struct answer *out);
bool client_next_headless(struct client *c, struct answer *out); /* of HEAD: a head alone */
/* Is the connection at its end? Turns the loop to find out. */
bool client_is_closed(struct client *c);
/* A header's value of an answer, or NULL; points into a static buffer. */
const char *answer_header(const struct answer *a, const char *name);

#define TOKEN_PATH    "/metadata/identity/oauth2/token"
#define QUERY	      "api-version=2018-02-01&resource=https://vault.azure.net"
#define HEADERS	      "Host: 169.254.169.254\r\nMetadata: true\r\n"
#define TOKEN_REQUEST "GET " TOKEN_PATH "?" QUERY " HTTP/1.1\r\n" HEADERS "\r\n"
