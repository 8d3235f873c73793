/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/cleanup.h"
#include "lib/base/clock.h"
#include "lib/base/err.h"
#include "lib/base/inet.h"
#include "lib/base/str.h"
#include "nmi/front/head.h"
#include "nmi/peer_uid.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct asked;
struct front;
struct issue_answer;
struct loop;
struct response;
struct route;

/*
 * One HTTP listener on the loop, and the only place that knows libmicrohttpd. It reads requests,
 * hands each to `handle` once, and sends what exchange_answer() is given, at once or later.
 */
struct server;

/* One request and its answer. The request's bytes are valid until it is answered or gone. */
struct exchange {
	const char *method;
	struct str target; /* raw, as on the request line; empty with target_too_long */
	struct str body;
	struct inet_ip peer;
	struct mono start; /* when the request line was read */
	struct head head;
	bool target_too_long, body_too_long;
	bool is_same_target; /* to the byte, as the request before it of this connection */
	/*
	 * The handler's own, zero when it is called. `gone` is called when the client hung up or the
	 * server ends before the answer: a handler that returns without one must have set it.
	 */
	void (*gone)(struct exchange *x);
	void *owner; /* of the handler: what `gone` needs */
	void *op;
	const struct route *route;
	char *label; /* heap; freed with the exchange */
	void (*issued)(struct front *f, struct exchange *x, const struct issue_answer *a,
		       const char *resource); /* see front_issue() */
	char id[GUID_LEN + 1];
	/*
	 * Whose connection it is, by the handler; NULL: not decided. On the heap; unlike the rest it stays
	 * from one request to the next, and is freed with the connection.
	 */
	char *pod_uid;
	uint64_t told;	     /* stay too: which grant was given last, by issue_answer.body_id, */
	const void *told_as; /* and of which identity, which may be gone */
	/* Stays as long as the target is the same, then it is freed: what the handler read it as; or NULL. */
	struct asked *asked;
};

typedef void server_handle_fn(void *ctx, struct exchange *x);

struct server_spec {
	struct inet_ip address; /* unspecified: all */
	uint16_t port;
	const char *port_setting; /* what to tell a person whose port is taken */
	/*
	 * One that listens already, taken when the server is made; 0: none, it opens its own. It may be
	 * shared with another process, so nothing is accepted on it before server_start().
	 */
	int listening;
	/*
	 * How many at most; and of one address, 0: all of them come from one. Where there are many addresses, a
	 * quarter is kept for those that are cut and not yet gone: see crowd.h.
	 */
	unsigned connections, connections_per_peer;
	unsigned
		turns; /* of one address in a round; 0: LIMIT_TURNS, and any number while it is alone */
	size_t body_max;
	server_handle_fn *handle;
	void (*accepted)(void *ctx, const struct inet_ip *peer); /* before its requests; or NULL */
	/*
	 * A file is short for one that waits: true once server_spare() has freed one. NULL: of this server alone.
	 */
	bool (*spare)(void *ctx);
	/* One is not accepted, or cut, since that address has more than its share; or NULL. */
	void (*crowded)(void *ctx, const struct inet_ip *peer, bool was_accepted);
	/* A request is whole, and has to wait until it is its address's turn; or NULL. */
	void (*waits)(void *ctx, struct exchange *x);
	void *ctx;
};

struct server *server_new(struct loop *l, const struct server_spec *spec, struct err *err);
struct server *server_free(struct server *s);
DEFINE_CLEANUP(struct server, server_free);
int server_start(struct server *s, struct err *err); /* accepts from now on; again is fine */
int server_listening(const struct server *s);	     /* its fd, borrowed; -EBADF: none any more */
/*
 * No new connections, those that there are go on. The fd that listens is the caller's then; what waits to
 * be accepted waits on, as long as anybody has it open. -EBADF: it was drained or released before.
 */
int server_release(struct server *s);
/* No new connections; with `cut_idle`, idle ones get a moment for a request that is on its way. */
void server_drain(struct server *s, bool cut_idle);
size_t server_connections(const struct server *s);
/*
 * Ends one idle connection, whose file is free then: of the address that has the most connections to one of
 * these, the longest unused (crowd_spare()). False: none is idle. Not from inside a handler.
 */
bool server_spare(struct server *const *servers, size_t n);
/*
 * Ends the connections from that address that are meant, whatever state they are in: at once nothing more
 * is sent, also not what was not yet taken of an answer; the handlers of waiting ones are told from the
 * loop. May be called from inside a handler.
 */
typedef bool server_meant_fn(const struct exchange *x, const char *pod_uid);
void server_close_peer(struct server *s, const struct inet_ip *ip, server_meant_fn *meant,
		       const char *pod_uid);

/* answering: one of them, exactly once; takes a reference of its own */
void exchange_answer(struct exchange *x, struct response *r);
void exchange_drop(struct exchange *x); /* no answer: ends the connection as server_close_peer() */

/* False when the client is gone already. */
bool exchange_ends(const struct exchange *x, struct tcp_ends *out);
/* Each header of the request, in order. */
typedef void exchange_header_fn(void *ctx, const char *name, const char *value);
void exchange_each_header(struct exchange *x, exchange_header_fn *fn, void *ctx);

/* responses: but for their date immutable, and shared, so that one can be sent any number of times */
struct response_header {
	const char *name, *value; /* value NULL: left out */
};

#define RESPONSE_HEADERS_MAX 6

struct response_spec {
	unsigned status;
	struct response_header headers[RESPONSE_HEADERS_MAX];
	bool close; /* Connection: close */
	/* Taken; freed by free_body, or by free() if that is NULL. */
	char *body;
	size_t body_len;
	void (*free_body)(char *body, size_t len);
};

struct response *response_new(const struct response_spec *spec);
unsigned response_status(const struct response *r);
/* For one that is sent again within its second: the library would print the time for each. */
void response_set_date(struct response *r, struct wall now);
struct response *response_ref(struct response *r);
struct response *response_unref(struct response *r);
DEFINE_CLEANUP(struct response, response_unref);
