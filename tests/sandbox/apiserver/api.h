/* SPDX-License-Identifier: MIT */
#pragma once

#include "tests/sandbox/apiserver/fault.h"
#include "tests/sandbox/apiserver/kind.h"
#include "tests/sandbox/apiserver/store.h"

struct auth;
struct err;
struct ledger;
struct rbac;
struct reaper;
struct reply;
struct req;
struct token_issuer;
struct watches;

/* The whole server but its sockets: what a request may read and change. */
struct api {
	struct loop *loop;
	struct store store;
	struct kinds kinds;
	struct watches *watches;
	struct reaper *reaper;
	struct token_issuer *issuer; /* NULL: TokenRequest is not served */
	struct auth *auth;
	struct rbac *rbac;     /* NULL: everyone with a name may do everything */
	struct ledger *ledger; /* borrowed; NULL: none is kept */
	struct ledger *events; /* the same, of each Event as it was put */
	struct fault fault;
	bool no_watchlist; /* answer sendInitialEvents as a server without the WatchList gate does */
	unsigned stop_msec; /* how long containers take to stop after a deletion */
	unsigned long requests;
};

struct api_options {
	const char *node; /* a Node object of this name is there from the start; may be NULL */
	bool no_watchlist;
	unsigned stop_msec;
	size_t history;
};

void api_init(struct api *api, struct loop *loop, const struct api_options *options);
void api_deinit(struct api *api);

/* One request, answered at once; a watch is answered with a stream. */
void api_handle(struct api *api, const struct req *req, struct reply *reply);

/* Objects from a file of JSON or YAML documents, as if they were created one by one. */
int api_load_file(struct api *api, const char *path, struct err *err);
