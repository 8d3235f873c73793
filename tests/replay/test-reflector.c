/* SPDX-License-Identifier: MIT */

/* The reflector against what a real API server said, byte for byte, and against worse. */

#include "lib/base/mem.h"
#include "lib/loop/loop.h"
#include "tests/replay/fixture.h"
#include "tests/replay/server.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>

#define PODS	   "/api/v1/pods"
#define IDENTITIES "/apis/aadpodidentity.k8s.io/v1/azureidentities"

#define HEAD(status)                                                                               \
	"HTTP/1.1 " status "\r\nContent-Type: application/json\r\n"                                \
	"Transfer-Encoding: chunked\r\n\r\n"
/* A complete answer of a status and a body without need of a length. */
#define SHORT(status, extra) "HTTP/1.1 " status "\r\n" extra "Content-Length: 0\r\n\r\n"

static struct fixture f;

static void play(const struct step *steps, size_t n, const char *path, bool optional)
{
	fixture_init(&f, steps, n);
	fixture_start(&f, path, optional);
	fixture_run(&f, 600000);
	fixture_settle(&f);
	ck_assert_uint_eq(f.at, f.n_steps);
}

#define PLAY(steps, path) play((steps), ARRAY_SIZE(steps), (path), false)

/* whole runs of recordings: what is asked, and what the consumer then holds */

#define STREAM	      "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
#define STREAM1	      "GET " PODS "?watch=1&" STREAM "&timeoutSeconds="
#define PAGE1	      "GET " PODS "?limit=500&fieldSelector=spec.nodeName%3Dnode-1 "
#define WATCH_(rv)    "?watch=1&allowWatchBookmarks=true&resourceVersion=" rv "&timeoutSeconds="
#define UNPROCESSABLE SHORT("422 Unprocessable Entity", "")

static const struct run {
	const char *name, *path;
	const char *objects;
	struct step steps[6];
	enum reflector_state state;
	unsigned ends;
	bool optional;
} runs[] = {
	{ "a streaming list, and its stream stays",
	  PODS,
	  "my-app/demo@247 my-app/multi@244",
	  { { STREAM1, "pods-watch-initial-events", .open = true } },
	  REFLECTOR_SYNCED,
	  1 },
	{ "the stream ends cleanly: the watch goes on from the bookmark's version",
	  PODS,
	  "my-app/demo@247 my-app/multi@244",
	  { { STREAM1, "pods-watch-initial-events" },
	    { WATCH_("261"), "pods-watch-from-0", .open = true } },
	  REFLECTOR_SYNCED,
	  1 },
	{ "streaming refused: a paged list, then a watch with a modification and a deletion",
	  PODS,
	  "my-app/demo@247 my-app/multi@244",
	  { { STREAM1, .text = UNPROCESSABLE },
	    { PAGE1, "pods-list" },
	    { WATCH_("233"), "pods-watch", .open = true } },
	  REFLECTOR_SYNCED,
	  1 },
	{ "two pages",
	  PODS,
	  "default/done@231 default/elsewhere@233 my-app/demo@227 my-app/multi@229",
	  { { STREAM1, .text = UNPROCESSABLE },
	    { PAGE1, "pods-list-paged-1" },
	    { "&continue=eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6MjQxLCJzdGFydCI6Ii9kZWZhdWx0L2Vsc2V3"
	      "aGVyZVx1MDAwMCJ9 ",
	      "pods-list-paged-2" },
	    { WATCH_("241"), .text = HEAD("200 OK") } },
	  REFLECTOR_SYNCED,
	  1 },
	{ "the continue token has expired: the list starts over",
	  PODS,
	  "default/done@231 my-app/demo@227 my-app/multi@229",
	  { { STREAM1, .text = UNPROCESSABLE },
	    { PAGE1, "pods-list-paged-1" },
	    { "&continue=", "list-continue-expired" },
	    { PAGE1, "pods-list" },
	    { WATCH_("233"), .text = HEAD("200 OK") } },
	  REFLECTOR_SYNCED,
	  1 },
	{ "410 inside the stream: a new whole takes away what is gone",
	  PODS,
	  "my-app/demo@247 my-app/multi@244",
	  { { STREAM1, .text = UNPROCESSABLE },
	    { PAGE1, "pods-list-gzip" },
	    { WATCH_("241"), "watch-too-old" },
	    { PAGE1, "pods-list" },
	    { WATCH_("233"), "pods-watch", .open = true } },
	  REFLECTOR_SYNCED,
	  2 },
	{ "410 as a status: the same",
	  PODS,
	  "my-app/demo@247 my-app/multi@244",
	  { { STREAM1, "pods-watch-initial-events" },
	    { WATCH_("261"), "list-continue-expired" },
	    { STREAM1, "pods-watch-initial-events", .open = true } },
	  REFLECTOR_SYNCED,
	  2 },
	{ "410 in the streaming list: asked again",
	  PODS,
	  "my-app/demo@247 my-app/multi@244",
	  { { STREAM1, "watch-too-old" }, { STREAM1, "pods-watch-initial-events", .open = true } },
	  REFLECTOR_SYNCED,
	  1 },
	{ "401, 403 and 500 are waited out",
	  PODS,
	  "my-app/demo@247 my-app/multi@244",
	  { { STREAM1, "unauthorized" },
	    { STREAM1, "anonymous-forbidden" },
	    { STREAM1, "watch-future-rv" },
	    { STREAM1, "pods-watch-initial-events", .open = true } },
	  REFLECTOR_SYNCED,
	  1 },
	{ "a custom resource, and its watch expires at once",
	  IDENTITIES,
	  "my-app/my-pod-identity@235 my-app/sp-secret@236",
	  { { STREAM, .text = UNPROCESSABLE },
	    { "limit=500", "azureidentities-list" },
	    { WATCH_("263"), "azureidentities-watch" },
	    { "limit=500", "azureidentities-list" },
	    { WATCH_("263"), .text = HEAD("200 OK") } },
	  REFLECTOR_SYNCED,
	  2 },
	{ "bindings",
	  IDENTITIES,
	  "my-app/multi-1@238 my-app/multi-2@239 my-app/my-pod-identity-binding@237",
	  { { STREAM, .text = UNPROCESSABLE }, { "limit=500", "azureidentitybindings-list" } },
	  REFLECTOR_SYNCED,
	  1 },
	{ "an empty list is a whole",
	  IDENTITIES,
	  "",
	  { { STREAM, .text = UNPROCESSABLE }, { "limit=500", "azureassignedidentities-list" } },
	  REFLECTOR_SYNCED,
	  1 },
	{ "a resource that is not installed is a state, and is found when it comes",
	  IDENTITIES,
	  "my-app/my-pod-identity@235 my-app/sp-secret@236",
	  { { STREAM, "unknown-crd" },
	    { STREAM, "unknown-crd" },
	    { STREAM, .text = UNPROCESSABLE },
	    { "limit=500", "azureidentities-list" } },
	  REFLECTOR_SYNCED,
	  2,
	  true },
};

static size_t n_steps(const struct run *run)
{
	size_t n = 0;

	while (n < ARRAY_SIZE(run->steps) && (run->steps[n].recording || run->steps[n].text))
		n++;
	return n;
}

static void check_run(const struct run *run)
{
	const struct reflector_status *s = reflector_status(f.reflector);

	ck_assert_msg(strcmp(f.mismatch, "") == 0, "%s: %s", run->name, f.mismatch);
	ck_assert_msg(strcmp(fixture_objects(&f), run->objects) == 0, "%s: %s", run->name, f.text);
	ck_assert_msg(s->state == run->state, "%s: state %d", run->name, (int)s->state);
	ck_assert(s->has_synced);
	ck_assert(s->last_heard.ns && s->last_heard.ns >= s->last_event.ns);
}

START_TEST(a_recording_leads_to_its_objects)
{
	const struct run *run = &runs[_i];

	play(run->steps, n_steps(run), run->path, run->optional);
	check_run(run);
	ck_assert_uint_eq(f.model.ends, run->ends);
	fixture_deinit(&f);
}
END_TEST

START_TEST(a_recording_byte_by_byte_leads_to_the_same)
{
	const struct run *run = &runs[_i];
	struct step steps[ARRAY_SIZE(run->steps)];

	memcpy(steps, run->steps, sizeof(steps));
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++)
		steps[i].step = 1;
	play(steps, n_steps(run), run->path, run->optional);
	check_run(run);
	ck_assert_uint_eq(f.model.ends, run->ends);
	fixture_deinit(&f);
}
END_TEST

/*
 * Connections that break. Answers before the cut one hang up too (`cut` past the end): on a connection
 * that was used before libcurl quietly asks again when not even a line came back.
 */

/* Every place in the head and the start of the body and at the end, between them a prime apart. */
static size_t next_cut(size_t cut, size_t len)
{
	const char *env = getenv("REPLAY_STRIDE");
	size_t stride = env ? strtoul(env, NULL, 10) : 0;

	if (stride)
		return cut + stride;
	return cut < 520 || cut + 42 > len ? cut + 1 : cut + 41;
}

static const struct {
	const char *recording, *path;
	struct step before[3]; /* what leads up to the answer that is cut */
	size_t n_before;
	struct step after[2]; /* and what the server says once it behaves again */
	size_t n_after;
	const char *objects;
} cuts[] = {
	{ "pods-watch-initial-events", PODS,
	  .after = { { NULL, "pods-watch-initial-events", .open = true } }, .n_after = 1,
	  .objects = "my-app/demo@247 my-app/multi@244" },
	{ "pods-list", PODS, .before = { { STREAM, .text = UNPROCESSABLE, .cut = SIZE_MAX } },
	  .n_before = 1,
	  .after = { { PAGE1, "pods-list" }, { WATCH_("233"), .text = HEAD("200 OK") } },
	  .n_after = 2, .objects = "default/done@231 my-app/demo@227 my-app/multi@229" },
	{ "pods-list-paged-2", PODS,
	  .before = { { STREAM, .text = UNPROCESSABLE },
		      { PAGE1, "pods-list-paged-1", .cut = SIZE_MAX } },
	  .n_before = 2,
	  .after = { { PAGE1, "pods-list" }, { WATCH_("233"), .text = HEAD("200 OK") } },
	  .n_after = 2, .objects = "default/done@231 my-app/demo@227 my-app/multi@229" },
	{ "watch-too-old", PODS,
	  .before = { { STREAM, "pods-watch-initial-events", .cut = SIZE_MAX } }, .n_before = 1,
	  .after = { { NULL, "pods-watch-initial-events", .open = true } }, .n_after = 1,
	  .objects = "my-app/demo@247 my-app/multi@244" },
	{ "list-continue-expired", PODS,
	  .after = { { STREAM, "pods-watch-initial-events", .open = true } }, .n_after = 1,
	  .objects = "my-app/demo@247 my-app/multi@244" },
	{ "azureassignedidentities-list", IDENTITIES,
	  .before = { { STREAM, .text = UNPROCESSABLE, .cut = SIZE_MAX } }, .n_before = 1,
	  .after = { { "limit=500", "azureidentities-list" } }, .n_after = 1,
	  .objects = "my-app/my-pod-identity@235 my-app/sp-secret@236" },
};

/* Cuts that lose something: libcurl has the whole once it saw the "0" of the last chunk. */
static size_t cut_end(const char *name)
{
	size_t len;
	const char *p = recording(name, &len);

	return memcmp(p + len - 5, "0\r\n\r\n", 5) == 0 ? len - 4 : len;
}

START_TEST(a_cut_anywhere_delivers_nothing_malformed_and_is_made_good)
{
	size_t n, len = cut_end(cuts[_i].recording);

	for (size_t cut = 1; cut < len; cut = next_cut(cut, len)) {
		struct step steps[6];

		n = cuts[_i].n_before;
		memcpy(steps, cuts[_i].before, n * sizeof(steps[0]));
		steps[n++] = (struct step){ .recording = cuts[_i].recording, .cut = cut };
		memcpy(steps + n, cuts[_i].after, cuts[_i].n_after * sizeof(steps[0]));
		play(steps, n + cuts[_i].n_after, cuts[_i].path, false);
		ck_assert_msg(strcmp(fixture_objects(&f), cuts[_i].objects) == 0, "cut at %zu: %s",
			      cut, f.text);
		ck_assert(reflector_status(f.reflector)->has_synced);
		fixture_deinit(&f);
	}
}
END_TEST

/* The watch is resumed, so here the state after the cut says how far the consumer may have come. */
START_TEST(a_cut_watch_resumes_at_the_last_whole_line)
{
	struct step steps[] = { { STREAM, .text = UNPROCESSABLE },
				{ PAGE1, "pods-list" },
				{ WATCH_("233"), "pods-watch" },
				{ "&resourceVersion=", .text = HEAD("200 OK") } };
	size_t len;

	(void)recording("pods-watch", &len);
	for (size_t cut = 1; cut < len; cut = next_cut(cut, len)) {
		const char *all, *end, *version = "233";
		char wanted[64];

		steps[2].cut = cut;
		play(steps, ARRAY_SIZE(steps), PODS, false);
		all = recording("pods-watch", &len);
		/* the version of the last line that ends before the cut */
		for (const char *line = all; (end = memchr(line, '\n', (size_t)(all + cut - line)));
		     line = end + 1) {
			const char *v = memmem(line, (size_t)(end - line), "\"resourceVersion\":\"",
					       19);

			if (v)
				version = v + 19;
		}
		snprintf(wanted, sizeof(wanted), "resourceVersion=%.3s&", version);
		ck_assert_msg(strstr(f.request, wanted), "cut at %zu: %s in %s", cut, wanted,
			      f.request);
		fixture_deinit(&f);
	}
}
END_TEST

/* answers that nobody recorded */

#define POD(name, rv)                                                                              \
	"\"object\":{\"metadata\":{\"name\":\"" name "\",\"resourceVersion\":\"" rv "\"}}}\n"
#define ADDED(name, rv)	   "{\"type\":\"ADDED\"," POD(name, rv)
#define MODIFIED(name, rv) "{\"type\":\"MODIFIED\"," POD(name, rv)
#define DELETED(name, rv)  "{\"type\":\"DELETED\"," POD(name, rv)
#define BOOKMARK(rv)                                                                               \
	"{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{\"resourceVersion\":\"" rv "\"}}}\n"
#define INITIAL_END(rv)                                                                            \
	"{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{\"resourceVersion\":\"" rv "\","         \
	"\"annotations\":{\"k8s.io/initial-events-end\":\"true\"}}}}\n"
#define ERROR_EVENT(code)                                                                          \
	"{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"message\":\"why\",\"code\":" code   \
	"}}\n"

static void finish(void)
{
	fixture_deinit(&f);
	drop_texts();
}

/* A stream of one chunk. */
static const char *stream(const char *lines, bool ends)
{
	return keep(xasprintf(HEAD("200 OK") "%zx\r\n%s\r\n%s", strlen(lines), lines,
			      ends ? "0\r\n\r\n" : ""));
}

static const char *list_of(const char *items, const char *version)
{
	_cleanup_free_ char *body = xasprintf(
		"{\"metadata\":{\"resourceVersion\":\"%s\"},\"items\":[%s]}", version, items);

	return keep(
		xasprintf("HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n%s", strlen(body), body));
}

#define ITEM(name, rv) "{\"metadata\":{\"name\":\"" name "\",\"resourceVersion\":\"" rv "\"}}"

static void until_requests(unsigned n, unsigned msec)
{
	fixture_until_requests(&f, n, msec);
}

static void pass(unsigned msec)
{
	fixture_pass(&f, msec);
}

START_TEST(a_server_that_cannot_stream_is_asked_for_pages_from_then_on)
{
	const struct step steps[] = { { STREAM, .text = stream(ERROR_EVENT("500"), true) },
				      { "limit=500", .text = list_of(ITEM("a", "5"), "7") },
				      { WATCH_("7"), .text = stream(ERROR_EVENT("410"), true) },
				      { "limit=500", .text = list_of("", "9") },
				      { WATCH_("9"), .text = HEAD("200 OK") } };

	PLAY(steps, PODS);
	ck_assert_str_eq(fixture_objects(&f), "");
	ck_assert_uint_eq(f.model.ends, 2);
	finish();
}
END_TEST

START_TEST(a_server_that_is_busy_is_asked_to_stream_again_later)
{
	const struct step steps[] = { { STREAM, .text = stream(ERROR_EVENT("429"), true) },
				      { "limit=500", .text = list_of("", "7") },
				      { WATCH_("7"), .text = stream(ERROR_EVENT("410"), true) },
				      { STREAM, .text = stream(INITIAL_END("9"), false) } };

	PLAY(steps, PODS);
	ck_assert_uint_eq(f.model.ends, 2);
	finish();
}
END_TEST

START_TEST(a_server_that_takes_the_list_for_a_watch_is_found_out)
{
	const struct step steps[] = { { STREAM, .text = stream(ADDED("a", "5"), false) },
				      { "limit=500", .text = list_of(ITEM("a", "5"), "7") },
				      { WATCH_("7"), .text = HEAD("200 OK") } };

	PLAY(steps, PODS);
	ck_assert_str_eq(fixture_objects(&f), "/a@5");
	finish();
}
END_TEST

START_TEST(objects_stay_while_the_server_is_away)
{
	const struct step steps[] = {
		{ STREAM, .text = stream(ADDED("a", "5") INITIAL_END("7"), true) },
		{ WATCH_("7"), .text = SHORT("500 Internal Server Error", "") },
		{ WATCH_("7"), .text = SHORT("503 Service Unavailable", "") }
	};

	PLAY(steps, PODS);
	ck_assert_int_eq(reflector_status(f.reflector)->state, REFLECTOR_DISCONNECTED);
	ck_assert_int_eq(reflector_status(f.reflector)->last_err.kind, ERR_UNAVAILABLE);
	ck_assert_int_eq(reflector_status(f.reflector)->last_err.http_status, 503);
	ck_assert_str_eq(fixture_objects(&f), "/a@5");
	ck_assert_uint_eq(f.model.begins, 1);
	finish();
}
END_TEST

START_TEST(a_watch_that_is_answered_badly_three_times_ends_in_a_list)
{
	const struct step steps[] = {
		{ STREAM, .text = stream(ADDED("a", "5") INITIAL_END("7"), true) },
		{ WATCH_("7"), .text = SHORT("400 Bad Request", "") },
		{ WATCH_("7"), .text = stream(ERROR_EVENT("500"), true) },
		{ WATCH_("7"), .text = SHORT("500 Internal Server Error", "") },
		{ STREAM, .text = stream(INITIAL_END("2"), false) }
	};

	PLAY(steps, PODS);
	ck_assert_str_eq(fixture_objects(&f), "");
	finish();
}
END_TEST

START_TEST(the_server_says_how_long_to_wait)
{
	const struct step steps[] = { { STREAM, .text = SHORT("429 Too Many Requests",
							      "Retry-After: 20\r\n") },
				      { STREAM, .text = stream(INITIAL_END("2"), false) } };

	fixture_init(&f, steps, ARRAY_SIZE(steps));
	fixture_start(&f, PODS, false);
	fixture_settle(&f);
	pass(19000);
	ck_assert_uint_eq(f.requests, 1);
	pass(2000);
	ck_assert_uint_eq(f.requests, 2);
	finish();
}
END_TEST

START_TEST(a_line_that_is_no_event_is_not_delivered)
{
	static const char *const bad[] = {
		"nonsense\n",
		"{\"type\":\"ADDED\"}\n",
		"{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"name\":\"x\"}}}\n",
		"{\"type\":\"ADDED\",\"object\":[]}\n",
		"[]\n",
		" \n",
		ADDED("\377", "1"),
	};
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		_cleanup_free_ char *lines = xasprintf("%s%s", MODIFIED("a", "8"), bad[i]);
		const struct step steps[] = {
			{ STREAM, .text = stream(ADDED("a", "5") INITIAL_END("7"), true) },
			{ WATCH_("7"), .text = stream(lines, false) },
			{ WATCH_("8"), .text = stream(DELETED("a", "9"), false) }
		};

		PLAY(steps, PODS);
		ck_assert_str_eq(fixture_objects(&f), "");
		ck_assert_uint_eq(f.model.upserts, 2);
		ck_assert_uint_eq(f.model.begins, 1);
		finish();
	}
}
END_TEST

/* Deeper than the JSON parser goes: any object that the server stores and we cannot read. */
static const char *poison(const char *before, const char *after)
{
	char deep[3001] = "";
	char flat[3001] = "";

	memset(deep, '[', 3000);
	memset(flat, ']', 3000);
	return keep(xasprintf("%s\"x\":%s%s%s", before, deep, flat, after));
}

START_TEST(an_object_that_cannot_be_read_does_not_hide_the_others)
{
	const char *line = stream(poison("{\"type\":\"ADDED\",\"object\":{", "}}\n"), false);
	const char *items = poison(ITEM("a", "5") ",{", "}," ITEM("b", "6"));
	const struct step steps[] = { { STREAM, .text = line },
				      { STREAM, .text = line },
				      { STREAM, .text = line },
				      { "limit=500", .text = list_of(items, "9") },
				      { WATCH_("9"), .text = HEAD("200 OK") } };

	PLAY(steps, PODS);
	ck_assert_str_eq(fixture_objects(&f), "/a@5 /b@6");
	ck_assert_int_eq(reflector_status(f.reflector)->state, REFLECTOR_SYNCED);
	ck_assert_ptr_nonnull(strstr(reflector_status(f.reflector)->last_err.msg, "1 objects"));
	finish();
}
END_TEST

START_TEST(a_line_without_end_is_given_up)
{
	size_t n = (size_t)17 << 20;
	char *text = xcalloc(1, n + 1);
	struct step steps[] = { { STREAM, .text = NULL },
				{ STREAM, .text = stream(INITIAL_END("2"), false) } };

	memset(text, 'a', n);
	steps[0].text = keep(xasprintf(HEAD("200 OK") "%zx\r\n%s", n, text));
	free(text);
	PLAY(steps, PODS);
	ck_assert_uint_eq(f.model.ends, 1);
	finish();
}
END_TEST

START_TEST(an_event_of_a_newer_server_is_skipped)
{
	const struct step steps[] = {
		{ STREAM,
		  .text = stream(INITIAL_END("7") "{\"type\":\"NEW\",\"object\":{}}\n" ADDED("a",
											     "8"),
				 false) }
	};

	PLAY(steps, PODS);
	ck_assert_str_eq(fixture_objects(&f), "/a@8");
	ck_assert_uint_eq(f.requests, 1);
	finish();
}
END_TEST

START_TEST(an_older_version_is_applied_all_the_same)
{
	const struct step steps[] = { { STREAM, .text = stream(ADDED("a", "9") INITIAL_END("9")
								       MODIFIED("a", "3"),
							       false) } };

	PLAY(steps, PODS);
	ck_assert_str_eq(fixture_objects(&f), "/a@3");
	finish();
}
END_TEST

START_TEST(a_bookmark_moves_the_version_that_a_watch_resumes_at)
{
	const struct step steps[] = { { STREAM,
					.text = stream(INITIAL_END("7") BOOKMARK("70"), true) },
				      { WATCH_("70"), .text = HEAD("200 OK") } };

	PLAY(steps, PODS);
	ck_assert_uint_eq(reflector_status(f.reflector)->restarts, 0);
	finish();
}
END_TEST

/* quiet */

START_TEST(a_request_without_an_answer_is_given_up_after_a_minute)
{
	fixture_init(&f, NULL, 0);
	fixture_start(&f, PODS, false);
	until_requests(1, 0);
	pass(59000);
	ck_assert_uint_eq(f.requests, 1);
	until_requests(2, 4000);
	ck_assert_int_eq(reflector_status(f.reflector)->last_err.kind, ERR_TIMEOUT);
	ck_assert_int_eq(reflector_status(f.reflector)->state, REFLECTOR_STARTING);
	finish();
}
END_TEST

START_TEST(a_watch_that_outlives_its_time_is_cut)
{
	const struct step steps[] = { { STREAM, .text = stream(INITIAL_END("7"), false) } };

	fixture_init(&f, steps, 1);
	fixture_start(&f, PODS, false);
	until_requests(1, 0);
	pass(329000);
	ck_assert_uint_eq(f.requests, 1);
	/* at most 600 s, 30 s of slack, and the first wait */
	until_requests(2, 303000);
	ck_assert_ptr_nonnull(strstr(f.request, WATCH_("7")));
	finish();
}
END_TEST

START_TEST(a_watch_that_was_silent_to_its_end_is_followed_by_a_list)
{
	const struct step steps[] = { { STREAM, .text = stream(INITIAL_END("7"), true) },
				      { WATCH_("7"), .text = HEAD("200 OK") },
				      { STREAM, .text = stream(INITIAL_END("3"), false) } };

	fixture_init(&f, steps, ARRAY_SIZE(steps));
	fixture_start(&f, PODS, false);
	until_requests(2, 1000);
	pass(120000);
	ck_assert_uint_eq(f.requests, 2);
	server_say(f.last, "0\r\n\r\n", 5, 0);
	until_requests(3, 1000);
	finish();
}
END_TEST

START_TEST(a_watch_that_is_closed_at_once_is_not_asked_for_again_at_once)
{
	const struct step steps[] = { { STREAM, .text = stream(INITIAL_END("7"), true) },
				      { WATCH_("7"), .text = HEAD("200 OK") "0\r\n\r\n" } };

	fixture_init(&f, steps, ARRAY_SIZE(steps));
	fixture_start(&f, PODS, false);
	until_requests(2, 1000);
	pass(500);
	ck_assert_uint_eq(f.requests, 2);
	until_requests(3, 2000);
	finish();
}
END_TEST

/* not there, not allowed */

START_TEST(an_optional_resource_that_is_missing_counts_as_an_empty_whole)
{
	const struct step steps[] = { { STREAM, "unknown-crd" } };

	play(steps, 1, IDENTITIES, true);
	ck_assert_int_eq(reflector_status(f.reflector)->state, REFLECTOR_NOT_INSTALLED);
	ck_assert(reflector_status(f.reflector)->has_synced);
	ck_assert_uint_eq(f.model.begins, 1);
	ck_assert_uint_eq(f.model.ends, 1);
	ck_assert(reflector_status(f.reflector)->last_heard.ns != 0);
	pass(29000);
	ck_assert_uint_eq(f.requests, 1);
	until_requests(2, 17000);
	finish();
}
END_TEST

START_TEST(one_404_does_not_take_away_what_was_there_but_three_do)
{
	const struct step steps[] = { { STREAM,
					.text = stream(ADDED("a", "5") INITIAL_END("7"), true) },
				      { WATCH_("7"), "unknown-crd" },
				      { STREAM, "unknown-crd" },
				      { STREAM, "unknown-crd" } };

	fixture_init(&f, steps, ARRAY_SIZE(steps));
	fixture_start(&f, IDENTITIES, true);
	until_requests(3, 5000);
	ck_assert_str_eq(fixture_objects(&f), "/a@5");
	until_requests(4, 5000);
	ck_assert_str_eq(fixture_objects(&f), "");
	ck_assert_int_eq(reflector_status(f.reflector)->state, REFLECTOR_NOT_INSTALLED);
	finish();
}
END_TEST

static const struct {
	const char *recording, *path;
	int status;
	const char *says[4];
} refusals[] = {
	{ "anonymous-forbidden",
	  PODS,
	  403,
	  { "things: not allowed to list and watch", "apiGroups [\"\"]", "resources [\"pods\"]",
	    "verbs [\"list\", \"watch\"]" } },
	{ "anonymous-forbidden",
	  IDENTITIES,
	  403,
	  { "apiGroups [\"aadpodidentity.k8s.io\"]", "resources [\"azureidentities\"]" } },
	{ "unknown-crd",
	  PODS,
	  404,
	  { "things: GET /api/v1/pods: HTTP 404", "404 page not found" } },
	{ "unauthorized", PODS, 401, { "does not accept the agent's token or certificate" } },
};

START_TEST(a_refusal_says_what_to_do)
{
	const struct step steps[] = { { STREAM, refusals[_i].recording } };
	const struct reflector_status *s;

	play(steps, 1, refusals[_i].path, false);
	s = reflector_status(f.reflector);
	ck_assert_int_eq(s->state, REFLECTOR_STARTING);
	ck_assert_int_eq(s->last_err.kind, ERR_REFUSED);
	ck_assert_int_eq(s->last_err.http_status, refusals[_i].status);
	for (size_t i = 0; i < 4 && refusals[_i].says[i]; i++)
		ck_assert_msg(strstr(s->last_err.msg, refusals[_i].says[i]), "%s", s->last_err.msg);
	ck_assert_uint_eq(f.model.begins, 0);
	finish();
}
END_TEST

/* ending */

static void free_it(void *ctx)
{
	f.reflector = reflector_free(f.reflector);
}

static void free_it_with(void *ctx, const struct jval *obj)
{
	f.reflector = reflector_free(f.reflector);
}

static void nothing(void *ctx)
{
}

static void nothing_with(void *ctx, const struct jval *obj)
{
}

static const struct reflector_ops suicides[] = {
	{ free_it, nothing_with, nothing_with, nothing },
	{ nothing, free_it_with, nothing_with, nothing },
	{ nothing, nothing_with, free_it_with, nothing },
	{ nothing, nothing_with, nothing_with, free_it },
};

START_TEST(it_may_be_freed_from_its_own_callbacks)
{
	const struct reflector_spec spec = { .name = "things", .path = PODS };
	const struct step streaming[] = { { STREAM, .text = stream(ADDED("a", "5") DELETED("a", "6")
									   INITIAL_END("7"),
								   false) } };
	const struct step paged[] = { { STREAM, .text = UNPROCESSABLE },
				      { "limit=500", .text = list_of(ITEM("a", "5"), "7") },
				      { WATCH_("7"), .text = stream(DELETED("a", "6"), false) } };

	for (int i = 0; i < 2; i++) {
		fixture_init(&f, i ? paged : streaming, i ? 3 : 1);
		f.reflector = reflector_new(f.loop, f.client, &spec, &suicides[_i], NULL);
		reflector_start(f.reflector);
		fixture_settle(&f);
		ck_assert_ptr_null(f.reflector);
		fixture_deinit(&f);
	}
	finish();
}
END_TEST

UNIT_MAIN("reflector", UNIT_LOOP(a_recording_leads_to_its_objects, runs),
	  UNIT_LOOP(a_recording_byte_by_byte_leads_to_the_same, runs),
	  UNIT_LOOP(a_cut_anywhere_delivers_nothing_malformed_and_is_made_good, cuts),
	  UNIT(a_cut_watch_resumes_at_the_last_whole_line),
	  UNIT(a_server_that_cannot_stream_is_asked_for_pages_from_then_on),
	  UNIT(a_server_that_is_busy_is_asked_to_stream_again_later),
	  UNIT(a_server_that_takes_the_list_for_a_watch_is_found_out),
	  UNIT(objects_stay_while_the_server_is_away),
	  UNIT(a_watch_that_is_answered_badly_three_times_ends_in_a_list),
	  UNIT(the_server_says_how_long_to_wait), UNIT(a_line_that_is_no_event_is_not_delivered),
	  UNIT(an_object_that_cannot_be_read_does_not_hide_the_others),
	  UNIT(a_line_without_end_is_given_up), UNIT(an_event_of_a_newer_server_is_skipped),
	  UNIT(an_older_version_is_applied_all_the_same),
	  UNIT(a_bookmark_moves_the_version_that_a_watch_resumes_at),
	  UNIT(a_request_without_an_answer_is_given_up_after_a_minute),
	  UNIT(a_watch_that_outlives_its_time_is_cut),
	  UNIT(a_watch_that_was_silent_to_its_end_is_followed_by_a_list),
	  UNIT(a_watch_that_is_closed_at_once_is_not_asked_for_again_at_once),
	  UNIT(an_optional_resource_that_is_missing_counts_as_an_empty_whole),
	  UNIT(one_404_does_not_take_away_what_was_there_but_three_do),
	  UNIT_LOOP(a_refusal_says_what_to_do, refusals),
	  UNIT_LOOP(it_may_be_freed_from_its_own_callbacks, suicides))
