/* SPDX-License-Identifier: MIT */

/*
 * For h2.sh: the scripted API server behind nginx, and in front of it reflectors that reach it through
 * HTTP/2 and TLS. Says on stdout what happened, as h2.sh asks for it on stdin: a line "synced" once
 * every reflector is in step, after "dead" how long it took until all noticed, after "alive" until all
 * were back, in milliseconds.
 */

#include "lib/base/mem.h"
#include "lib/kube/client.h"
#include "lib/kube/config.h"
#include "lib/kube/reflector.h"
#include "lib/loop/loop.h"
#include "tests/replay/server.h"

#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>

#define WATCHES 5
#define GIVE_UP 60000

#define HEAD                                                                                       \
	"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
#define BOOKMARK "{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{\"resourceVersion\":\"7\""
#define LIST_END BOOKMARK ",\"annotations\":{\"k8s.io/initial-events-end\":\"true\"}}}}\n"
#define WATCH	 BOOKMARK "}}}\n"

static struct loop *loop;
static struct reflector *watches[WATCHES];
static unsigned ends;

static void on_request(void *ctx, struct server_conn *conn, const char *text)
{
	const char *line = strstr(text, "sendInitialEvents") ? LIST_END : WATCH;
	char answer[512];
	int n = snprintf(answer, sizeof(answer), HEAD "%zx\r\n%s\r\n", strlen(line), line);

	(void)ctx;
	/* one line, since nginx holds an answer back that has none; then silence */
	server_say(conn, answer, (size_t)n, 0);
}

static void nothing(void *ctx)
{
	(void)ctx;
}

static void nothing_with(void *ctx, const struct jval *obj)
{
	(void)ctx;
	(void)obj;
}

static void on_end(void *ctx)
{
	(void)ctx;
	ends++;
}

static const struct reflector_ops ops = { nothing, nothing_with, nothing_with, on_end };

static bool all_in(enum reflector_state state)
{
	for (size_t i = 0; i < WATCHES; i++) {
		if (reflector_status(watches[i])->state != state)
			return false;
	}
	return true;
}

/* Milliseconds until all are in the state. */
static unsigned until_all_in(enum reflector_state state)
{
	struct mono begin = loop_mono(loop);
	unsigned msec;

	do {
		(void)loop_turn(loop, 10, NULL);
		msec = (unsigned)(mono_seconds_between(begin, loop_mono(loop)) * 1000);
	} while (!all_in(state) && msec < GIVE_UP);
	if (!all_in(state)) {
		printf("gave up: %s\n", reflector_status(watches[0])->last_err.msg);
		exit(EXIT_FAILURE);
	}
	return msec;
}

/* From stdin, one byte at a time since the loop must go on meanwhile. */
static struct loop_fd input;
static char word[32];
static bool have_word;

static void on_input(struct loop_fd *f, uint32_t events)
{
	size_t n = strlen(word);
	char c;

	(void)events;
	if (read(f->fd, &c, 1) != 1)
		exit(EXIT_SUCCESS);
	if (c == '\n')
		have_word = true;
	else if (n < sizeof(word) - 1)
		word[n] = c;
}

static void serve(void)
{
	for (;;) {
		memset(word, 0, sizeof(word));
		for (have_word = false; !have_word;)
			(void)loop_turn(loop, -1, NULL);
		if (strcmp(word, "dead") == 0)
			printf("noticed %u\n", until_all_in(REFLECTOR_DISCONNECTED));
		else if (strcmp(word, "alive") == 0)
			printf("back %u\n", until_all_in(REFLECTOR_SYNCED));
		else
			return;
	}
}

int main(int argc, char **argv)
{
	static const struct reflector_spec spec = { .name = "pods", .path = "/api/v1/pods" };
	_cleanup_(server_freep) struct server *server = NULL;
	_cleanup_(kube_client_freep) struct kube_client *client = NULL;
	struct kube_config config = { 0 };
	struct err err = { 0 };

	if (argc != 5)
		return EXIT_FAILURE;
	setvbuf(stdout, NULL, _IOLBF, 0);
	loop = loop_new(&err);
	server = server_new(loop, argv[1], on_request, NULL, &err);
	config.server = xstrdup(argv[2]);
	config.ca_file = xstrdup(argv[3]);
	config.server_name = argv[4][0] ? xstrdup(argv[4]) : NULL;
	client = server ? kube_client_new(loop, &config, "h2-peer", &err) : NULL;
	kube_config_deinit(&config);
	if (!client || loop_fd_add(loop, &input, 0, EPOLLIN, on_input, &err) < 0) {
		printf("%s\n", err.msg);
		return EXIT_FAILURE;
	}
	for (size_t i = 0; i < WATCHES; i++) {
		watches[i] = reflector_new(loop, client, &spec, &ops, NULL);
		reflector_start(watches[i]);
	}
	(void)until_all_in(REFLECTOR_SYNCED);
	printf("synced %u\n", ends);
	serve();
	for (size_t i = 0; i < WATCHES; i++)
		reflector_free(watches[i]);
	return EXIT_SUCCESS;
}
