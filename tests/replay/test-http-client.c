/* SPDX-License-Identifier: MIT */

/* The HTTP client against a server that says exactly what it is told. */

#include "lib/base/mem.h"
#include "lib/http/client.h"
#include "lib/loop/loop.h"
#include "tests/replay/server.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

static struct loop *loop;
static struct server *server;
static struct http_client *client;
static struct http_call *call;
static const char *answer_text; /* NULL: none */
static const char *only;	/* answer just the requests with this in them */
static bool hang_up;
static unsigned ended; /* times end_it() was called */
static int stop_after; /* end a stream after so many bytes; -1: never */
static char request[1 << 16];
static char url[64];

/* what `done` saw */
static struct seen {
	unsigned times;
	long status;
	char body[256];
	char header[64];
	struct err err;
} seen;

static void on_request(void *ctx, struct server_conn *conn, const char *text)
{
	snprintf(request, sizeof(request), "%s", text);
	if (answer_text && (!only || strstr(text, only)))
		server_say(conn, answer_text, strlen(answer_text), 0);
	if (hang_up)
		server_hang_up(conn);
}

static void on_done(void *ctx, const struct http_reply *reply, const struct err *err)
{
	seen.times++;
	ck_assert(!reply != !err);
	if (err) {
		seen.err = *err;
		return;
	}
	seen.status = reply->status;
	snprintf(seen.body, sizeof(seen.body), "%s", reply->body ? reply->body : "(streamed)");
	if (reply->header(reply, "x-thing"))
		snprintf(seen.header, sizeof(seen.header), "%s", reply->header(reply, "x-thing"));
}

static void settle(void)
{
	for (unsigned i = 0; i < 60; i++) {
		(void)loop_turn(loop, 0, NULL);
		if (i % 10 == 9)
			loop_fake_advance(loop, 1);
	}
}

static void start(const char *text)
{
	struct http_client_spec spec = { .user_agent = "test", .dead_peer_msec = 5000 };

	seen = (struct seen){ 0 };
	only = NULL;
	hang_up = false;
	stop_after = -1;
	ended = 0;
	loop = loop_new_fake(NULL);
	server = server_new(loop, NULL, on_request, NULL, NULL);
	client = http_client_new(loop, &spec, NULL);
	answer_text = text;
	snprintf(url, sizeof(url), "http://%s:%u/path", server_host(server), server_port(server));
}

static void stop(void)
{
	client = http_client_free(client);
	server = server_free(server);
	loop = loop_free(loop);
}

static void send_it(struct http_request req)
{
	struct err err = { 0 };

	req.url = req.url ? req.url : url;
	req.done = req.done ? req.done : on_done;
	call = http_send(client, &req, &err);
	ck_assert_msg(call, "%s", err.msg);
	ck_assert_uint_eq(seen.times, 0);
}

#define OK_HELLO "HTTP/1.1 200 OK\r\nX-Thing: one\r\nX-Thing: two\r\nContent-Length: 5\r\n\r\nhello"

START_TEST(an_answer_arrives_once_with_status_headers_and_body)
{
	start(OK_HELLO);
	send_it((struct http_request){ 0 });
	settle();
	ck_assert_uint_eq(seen.times, 1);
	ck_assert_int_eq(seen.status, 200);
	ck_assert_str_eq(seen.body, "hello");
	ck_assert_str_eq(seen.header, "one");
	ck_assert_int_eq(strncmp(request, "GET /path HTTP/1.1\r\n", 20), 0);
	stop();
}
END_TEST

static const struct {
	const char *text; /* NULL: silence */
	bool hang_up;
	struct http_request req;
	enum err_kind kind;
	const char *says; /* NULL: the server's address */
} failures[] = {
	{ NULL, true, { 0 }, ERR_UNAVAILABLE, NULL },
	{ "HTTP/1.1 200 OK\r\nX-", true, { 0 }, ERR_UNAVAILABLE, "head" },
	{ "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello", true, { 0 }, ERR_UNAVAILABLE, "" },
	{ "SSH-2.0\r\n", true, { 0 }, ERR_UNAVAILABLE, "" },
	{ NULL, false, { .timeout_msec = 7 }, ERR_TIMEOUT, "no answer in time" },
	{ "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello",
	  false,
	  { .timeout_msec = 7 },
	  ERR_TIMEOUT,
	  "did not end" },
	{ OK_HELLO, false, { .body_max = 4 }, ERR_LIMIT, "more than 4 bytes" },
	{ NULL, false, { .url = "http://127.0.0.1:1/" }, ERR_UNAVAILABLE, "127.0.0.1:1" },
};

START_TEST(a_failure_is_reported_once_with_its_kind)
{
	const char *says;

	start(failures[_i].text);
	hang_up = failures[_i].hang_up;
	send_it(failures[_i].req);
	settle();
	loop_fake_advance(loop, 7);
	ck_assert_uint_eq(seen.times, 1);
	ck_assert_int_eq(seen.err.kind, failures[_i].kind);
	says = failures[_i].says ?: server_host(server);
	ck_assert_msg(strstr(seen.err.msg, says), "%s", seen.err.msg);
	ck_assert_ptr_null(strstr(seen.err.msg, "/path"));
	stop();
}
END_TEST

static const char *const bad_header[] = { "X: a\r\nY: b", NULL };
static const char *const no_colon[] = { "nothing", NULL };
static const char *const no_name[] = { ": x", NULL };
static const struct http_request unformed[] = {
	{ .url = "ftp://127.0.0.1/" },
	{ .url = "file:///etc/passwd" },
	{ .url = "not a url" },
	{ .url = "http://127.0.0.1:99999/" },
	{ .url = "http://127.0.0.1/a b" },
	{ .url = "http://127.0.0.1/", .method = "GET / HTTP/1.1\r\nX" },
	{ .url = "http://127.0.0.1/", .method = "" },
	{ .url = "http://127.0.0.1/", .headers = bad_header },
	{ .url = "http://127.0.0.1/", .headers = no_colon },
	{ .url = "http://127.0.0.1/", .headers = no_name },
};

START_TEST(a_request_that_cannot_be_formed_is_refused)
{
	struct http_request req = unformed[_i];
	struct err err = { 0 };

	start(OK_HELLO);
	req.done = on_done;
	ck_assert_ptr_null(http_send(client, &req, &err));
	ck_assert_int_eq(err.kind, ERR_INPUT);
	settle();
	ck_assert_uint_eq(seen.times, 0);
	stop();
}
END_TEST

/* what goes out */

START_TEST(a_body_is_sent_without_what_libcurl_would_add)
{
	char body[3000];
	const char *const headers[] = { "X-Empty:", "X-Full: 1", NULL };

	memset(body, 'x', sizeof(body));
	start(OK_HELLO);
	send_it((struct http_request){
		.method = "POST", .body = body, .body_len = sizeof(body), .headers = headers });
	memset(body, 'z', sizeof(body));
	settle();
	ck_assert_int_eq(strncmp(request, "POST /path ", 11), 0);
	ck_assert_ptr_nonnull(strstr(request, "\r\nContent-Length: 3000\r\n"));
	ck_assert_ptr_nonnull(strstr(request, "\r\nX-Empty:\r\n"));
	ck_assert_ptr_nonnull(strstr(request, "\r\nX-Full: 1\r\n"));
	ck_assert_ptr_null(strcasestr(request, "\r\nExpect"));
	ck_assert_ptr_null(strcasestr(request, "\r\nContent-Type"));
	ck_assert_ptr_nonnull(strstr(request, "\r\n\r\nxxx"));
	ck_assert_ptr_null(strchr(request, 'z'));
	ck_assert_str_eq(seen.body, "hello");
	stop();
}
END_TEST

static const struct {
	const char *method, *line, *length;
} methods[] = {
	{ "POST", "POST /path HTTP/1.1\r\n", "Content-Length: 0\r\n" },
	{ "PUT", "PUT /path HTTP/1.1\r\n", "Content-Length: 0\r\n" },
	{ "DELETE", "DELETE /path HTTP/1.1\r\n", NULL },
	{ "OPTIONS", "OPTIONS /path HTTP/1.1\r\n", NULL },
};

START_TEST(an_answer_whose_head_is_here_is_being_given)
{
	start(NULL);
	send_it((struct http_request){ 0 });
	ck_assert(!http_is_answering(call));
	settle();
	ck_assert(!http_is_answering(call)); /* sent, and nothing said */
	stop();
	start("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
	send_it((struct http_request){ 0 });
	settle();
	ck_assert(http_is_answering(call));
	ck_assert_uint_eq(seen.times, 0);
	stop();
}
END_TEST

START_TEST(a_method_is_sent_as_given)
{
	start(OK_HELLO);
	send_it((struct http_request){ .method = methods[_i].method });
	settle();
	ck_assert_int_eq(strncmp(request, methods[_i].line, strlen(methods[_i].line)), 0);
	ck_assert_int_eq(!strstr(request, "Content-Length"), !methods[_i].length);
	ck_assert_uint_eq(seen.times, 1);
	stop();
}
END_TEST

START_TEST(an_answer_to_head_has_no_body_to_wait_for)
{
	start("HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n");
	send_it((struct http_request){ .method = "HEAD" });
	settle();
	ck_assert_int_eq(seen.status, 200);
	ck_assert_str_eq(seen.body, "");
	stop();
}
END_TEST

START_TEST(a_path_is_not_tidied)
{
	char odd[128];

	start(OK_HELLO);
	snprintf(odd, sizeof(odd), "http://%s:%u/a/../b//%%2e/./c?x=%%zz", server_host(server),
		 server_port(server));
	send_it((struct http_request){ .url = odd });
	settle();
	ck_assert_int_eq(strncmp(request, "GET /a/../b//%2e/./c?x=%zz HTTP", 31), 0);
	stop();
}
END_TEST

START_TEST(a_redirect_is_an_answer)
{
	start("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n");
	send_it((struct http_request){ 0 });
	settle();
	ck_assert_int_eq(seen.status, 302);
	stop();
}
END_TEST

START_TEST(no_proxy_is_used)
{
	setenv("http_proxy", "http://127.0.0.1:1/", 1);
	setenv("ALL_PROXY", "http://127.0.0.1:1/", 1);
	start(OK_HELLO);
	send_it((struct http_request){ 0 });
	settle();
	ck_assert_int_eq(seen.status, 200);
	stop();
}
END_TEST

/* streams */

static char streamed[64];
static long told_status;

static int on_data(void *ctx, const char *p, size_t n)
{
	size_t had = strlen(streamed);

	ck_assert_int_ne(told_status, 0);
	snprintf(streamed + had, sizeof(streamed) - had, "%.*s", (int)n, p);
	return stop_after >= 0 && strlen(streamed) >= (size_t)stop_after;
}

static void on_status(void *ctx, long status)
{
	ck_assert_int_eq(told_status, 0);
	told_status = status;
}

static void send_stream(const char *text, int end_after)
{
	start(text);
	stop_after = end_after;
	streamed[0] = '\0';
	told_status = 0;
	send_it((struct http_request){ .on_data = on_data, .on_status = on_status });
	settle();
}

START_TEST(a_body_is_streamed_after_the_status)
{
	send_stream("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" OK_HELLO, -1);
	ck_assert_int_eq(told_status, 200);
	ck_assert_str_eq(streamed, "hello");
	ck_assert_str_eq(seen.body, "(streamed)");
	stop();
}
END_TEST

START_TEST(the_body_of_a_refusal_is_collected_and_not_streamed)
{
	send_stream("HTTP/1.1 404 No\r\nContent-Length: 2\r\n\r\nno", -1);
	ck_assert_str_eq(streamed, "");
	ck_assert_int_eq(seen.status, 404);
	ck_assert_str_eq(seen.body, "no");
	stop();
}
END_TEST

START_TEST(a_receiver_may_end_a_stream)
{
	send_stream("HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nhello", 1);
	ck_assert_uint_eq(seen.times, 1);
	ck_assert_int_eq(seen.err.kind, ERR_CANCELLED);
	stop();
}
END_TEST

/* cancelling and freeing, from everywhere */

enum place { BEFORE, IN_STATUS, IN_DATA, IN_OTHER_DONE };
static enum place place;
static bool free_all;
static const struct {
	enum place place;
	bool free_all;
} places[] = {
	{ BEFORE, false }, { IN_STATUS, false }, { IN_DATA, false }, { IN_OTHER_DONE, false },
	{ BEFORE, true },  { IN_STATUS, true },	 { IN_DATA, true },  { IN_OTHER_DONE, true },
};

static void end_it(void)
{
	ended++;
	if (free_all)
		client = http_client_free(client);
	else
		http_cancel(call);
}

static void ending_status(void *ctx, long status)
{
	if (place == IN_STATUS)
		end_it();
}

static int ending_data(void *ctx, const char *p, size_t n)
{
	if (place == IN_DATA)
		end_it();
	return 0;
}

static void ending_done(void *ctx, const struct http_reply *reply, const struct err *err)
{
	end_it();
}

START_TEST(after_cancelling_or_freeing_nothing_is_called)
{
	char other_url[80];
	struct http_request other = { .done = ending_done, .url = other_url };

	place = places[_i].place;
	free_all = places[_i].free_all;
	start(OK_HELLO);
	snprintf(other_url, sizeof(other_url), "%s/other", url);
	if (place == IN_OTHER_DONE) {
		/* both are on their way, and only this one is answered */
		only = "/other";
		ck_assert_ptr_nonnull(http_send(client, &other, NULL));
	}
	send_it((struct http_request){ .on_status = ending_status, .on_data = ending_data });
	if (place == BEFORE)
		end_it();
	settle();
	ck_assert_uint_eq(ended, 1);
	ck_assert_uint_eq(seen.times, 0);
	loop_fake_advance(loop, 100000);
	if (client) {
		place = BEFORE;
		only = NULL;
		send_it((struct http_request){ 0 });
		settle();
		ck_assert_int_eq(seen.status, 200);
	}
	stop();
}
END_TEST

static void sends_again(void *ctx, const struct http_reply *reply, const struct err *err)
{
	struct http_request req = { .url = url, .done = on_done };

	http_cancel(call); /* over already: nothing happens */
	ck_assert_ptr_nonnull(http_send(client, &req, NULL));
}

START_TEST(a_callback_may_send_the_next_request)
{
	start(OK_HELLO);
	send_it((struct http_request){ .done = sends_again });
	settle();
	settle();
	ck_assert_uint_eq(seen.times, 1);
	ck_assert_int_eq(seen.status, 200);
	stop();
}
END_TEST

/* connections */

START_TEST(a_connection_is_used_again_until_told_otherwise)
{
	start(OK_HELLO);
	for (int i = 0; i < 3; i++) {
		seen.times = 0;
		send_it((struct http_request){ 0 });
		settle();
		ck_assert_uint_eq(server_accepted(server), 1);
	}
	http_client_reconnect(client, NULL);
	seen.times = 0;
	send_it((struct http_request){ 0 });
	settle();
	ck_assert_uint_eq(seen.times, 1);
	ck_assert_uint_eq(server_accepted(server), 2);
	stop();
}
END_TEST

START_TEST(a_request_on_the_way_survives_a_reconnect)
{
	start(NULL);
	send_it((struct http_request){ .timeout_msec = 5000 });
	settle();
	http_client_reconnect(client, NULL);
	settle();
	ck_assert_uint_eq(seen.times, 0);
	loop_fake_advance(loop, 5000);
	ck_assert_uint_eq(seen.times, 1);
	ck_assert_int_eq(seen.err.kind, ERR_TIMEOUT);
	stop();
}
END_TEST

/* Our end of the connection to the server. */
static int client_socket(void)
{
	for (int fd = 3; fd < 256; fd++) {
		struct sockaddr_in peer = { 0 };
		socklen_t len = sizeof(peer);

		if (getpeername(fd, (struct sockaddr *)&peer, &len) == 0 &&
		    peer.sin_family == AF_INET && ntohs(peer.sin_port) == server_port(server))
			return fd;
	}
	return -1;
}

static int int_opt(int fd, int level, int opt)
{
	int v = -1;
	socklen_t len = sizeof(v);

	ck_assert_int_eq(getsockopt(fd, level, opt, &v, &len), 0);
	return v;
}

START_TEST(sockets_notice_a_dead_peer_and_stay_in_this_process)
{
	int fd;

	start(NULL);
	send_it((struct http_request){ 0 });
	settle();
	fd = client_socket();
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	ck_assert_int_eq(int_opt(fd, SOL_SOCKET, SO_KEEPALIVE), 1);
	ck_assert_int_eq(int_opt(fd, IPPROTO_TCP, TCP_KEEPIDLE), 3);
	ck_assert_int_eq(int_opt(fd, IPPROTO_TCP, TCP_KEEPINTVL), 3);
	ck_assert_int_eq(int_opt(fd, IPPROTO_TCP, TCP_KEEPCNT), 3);
	ck_assert_int_eq(int_opt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT), 5000);
	stop();
}
END_TEST

UNIT_MAIN("http-client", UNIT(an_answer_arrives_once_with_status_headers_and_body),
	  UNIT_LOOP(a_failure_is_reported_once_with_its_kind, failures),
	  UNIT_LOOP(a_request_that_cannot_be_formed_is_refused, unformed),
	  UNIT(a_body_is_sent_without_what_libcurl_would_add),
	  UNIT(an_answer_whose_head_is_here_is_being_given),
	  UNIT_LOOP(a_method_is_sent_as_given, methods),
	  UNIT(an_answer_to_head_has_no_body_to_wait_for), UNIT(a_path_is_not_tidied),
	  UNIT(a_redirect_is_an_answer), UNIT(no_proxy_is_used),
	  UNIT(a_body_is_streamed_after_the_status),
	  UNIT(the_body_of_a_refusal_is_collected_and_not_streamed),
	  UNIT(a_receiver_may_end_a_stream),
	  UNIT_LOOP(after_cancelling_or_freeing_nothing_is_called, places),
	  UNIT(a_callback_may_send_the_next_request),
	  UNIT(a_connection_is_used_again_until_told_otherwise),
	  UNIT(a_request_on_the_way_survives_a_reconnect),
	  UNIT(sockets_notice_a_dead_peer_and_stay_in_this_process))
