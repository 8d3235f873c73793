/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/cleanup.h"
#include "lib/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct loop;

/*
 * A server that says exactly the bytes it was told to, on the loop of the test. It reads requests as
 * far as needed to know where one ends, and asks `on_request` for the answer.
 */
struct server;
struct server_conn;

/* `text` is the whole request, NUL-terminated. */
typedef void server_fn(void *ctx, struct server_conn *conn, const char *text);

struct server *server_new(struct loop *l, const char *unix_path, server_fn *fn, void *ctx,
			  struct err *err);
struct server *server_free(struct server *s);
DEFINE_CLEANUP(struct server, server_free);
const char *server_host(const struct server *s);
uint16_t server_port(const struct server *s);
/* Connections accepted, ever. */
unsigned server_accepted(const struct server *s);
/* Bytes read and written and connections: unchanged means idle. */
unsigned long server_activity(const struct server *s);

/* Queue bytes, to be written at most `step` at a time (0: as they fit). */
void server_say(struct server_conn *conn, const void *p, size_t n, size_t step);
/* Close once all is written. */
void server_hang_up(struct server_conn *conn);
