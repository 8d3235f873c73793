/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/kube/reflector.h"

#include <stdbool.h>
#include <stddef.h>

struct kube_client;
struct loop;
struct server;
struct server_conn;

/*
 * A reflector against a scripted API server, on one loop with a fake clock: waiting costs nothing,
 * and as both ends live in this thread, nothing depends on how busy the machine is.
 *
 * The script is a list of steps; each request takes the next one and must contain its `wants`. After
 * the last step requests get no answer, so a test ends in a state that stays.
 */
struct step {
	const char *wants;     /* in the request; NULL: anything */
	const char *recording; /* NULL: `text` */
	const char *text;
	size_t step; /* bytes a write; 0: all */
	size_t cut;  /* say only so many bytes, then hang up; 0: all of it, and stay */
	bool open;   /* leave off the last chunk, so that the stream stays open */
};

#define MODEL_MAX 32

/* What a consumer that follows the contract holds. */
struct model {
	struct model_object {
		char key[128], version[32];
		unsigned seen; /* in which resync */
	} objects[MODEL_MAX];
	size_t n;
	unsigned resync;
	bool resyncing;
	unsigned begins, ends, upserts, removes;
};

struct fixture {
	struct loop *loop;
	struct server *server;
	struct kube_client *client;
	struct reflector *reflector;
	struct model model;
	const struct step *steps;
	size_t n_steps, at;
	void (*on_asked)(size_t step); /* called before its answer; NULL: nobody is */
	struct server_conn *last;      /* who asked last */
	char mismatch[512];	       /* the first request that was not the one wanted */
	char request[4096];	       /* the last one */
	unsigned requests;
	char text[4096]; /* fixture_objects() */
};

void fixture_init(struct fixture *f, const struct step *steps, size_t n);
/* A client with this token file, or none. */
void fixture_client(struct fixture *f, const char *token_file);
void fixture_start(struct fixture *f, const char *path, bool optional);
void fixture_deinit(struct fixture *f);
/* Run until nothing happens any more, without moving the clock further than libcurl's rounding. */
void fixture_settle(struct fixture *f);
/* Let that much pass by the loop's clock, and settle; like the next two it may end 300 ms late. */
void fixture_pass(struct fixture *f, unsigned msec);
/* Settle, then let time pass until there have been `n` requests in all; at most `msec`. */
void fixture_until_requests(struct fixture *f, unsigned n, unsigned msec);
/* Settle, then let time pass until all steps were taken; at most `msec`. */
void fixture_run(struct fixture *f, unsigned msec);
/* "ns/name@version ...", sorted. */
const char *fixture_objects(struct fixture *f);
/* A recording, NUL-terminated and cached. */
const char *recording(const char *name, size_t *out_n);
/* Say a step's answer on a connection. */
void say_step(struct server_conn *conn, const struct step *s);
/* Texts that were put together for a script: freed by drop_texts(), after the fixture is gone. */
char *keep(char *text);
void drop_texts(void);
