/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/cleanup.h"
#include "lib/base/err.h"

#include <stdint.h>

struct api;

/* HTTP, with TLS or without, for an api: libmicrohttpd, driven by the api's loop. */
struct server;

struct server_options {
	const char *listen;	/* IP:PORT, port 0 is any */
	const char *cert, *key; /* PEM files; both NULL: plain HTTP */
};

struct server *server_new(struct api *api, const struct server_options *options, struct err *err);
struct server *server_free(struct server *s); /* ends all connections */
uint16_t server_port(const struct server *s);
DEFINE_CLEANUP(struct server, server_free);
