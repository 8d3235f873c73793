/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/buf.h"
#include "lib/base/cleanup.h"
#include "lib/base/err.h"
#include "lib/base/inet.h"

#include <stdbool.h>
#include <stdint.h>

struct loop;
struct MHD_Connection;

/* libmicrohttpd on the loop: a request is handed over whole and may be answered later. */
struct server;

enum request_state {
	REQUEST_READING,
	REQUEST_WAITING,  /* with the owner of the server; the connection is suspended */
	REQUEST_ANSWERED, /* answer is set, the connection runs again */
	REQUEST_DROPPED,  /* to be closed without an answer */
};

struct request {
	struct server *server;
	struct MHD_Connection *conn;
	enum request_state state;
	struct request *prev, *next; /* of the server's waiting ones */
	const char *method;
	char *target; /* raw, as it came */
	struct buf body;
	struct inet_ip peer;
	unsigned status;
	const char *type, *allow; /* literals */
	char retry_after[16];	  /* "" for none */
	char *answer;
	size_t answer_len;
	void *mine; /* the owner's, freed by on_end */
};

typedef void request_fn(void *ctx, struct request *rq);

struct server_spec {
	struct inet_ip ip;
	uint16_t port;
	const char *name;	/* of the Server header */
	request_fn *on_request; /* answers, drops or keeps it */
	request_fn *on_end;	/* the request is over, answered or not */
	void *ctx;
};

struct server *server_new(struct loop *l, const struct server_spec *spec, struct err *err);
struct server *server_free(struct server *s);
DEFINE_CLEANUP(struct server, server_free);
struct request *server_first_waiting(const struct server *s);

/* `body_take` is freed with the request. */
void request_answer(struct request *rq, unsigned status, const char *type, char *body_take);
void request_drop(struct request *rq);
typedef void request_header_fn(void *ctx, const char *name, const char *value);
void request_each_header(struct request *rq, request_header_fn *fn, void *ctx);
