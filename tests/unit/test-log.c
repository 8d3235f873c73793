/* SPDX-License-Identifier: MIT */

#include "lib/base/jval.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <regex.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define HOSTILE "x\"}\n{\"level\":\"error\"\x1b[31m\\\xff\xc3\xa9\r\t\x01"

struct log_pipe {
	int in, out;
	char text[1 << 16];
};

static void start(struct log_pipe *p, enum log_format format, enum log_level level)
{
	int fds[2];

	ck_assert_int_eq(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
	p->in = fds[1];
	p->out = fds[0];
	log_setup(format, level);
	log_set_fd(p->in);
}

/* All that was written since. */
static const char *drain(struct log_pipe *p)
{
	ssize_t n = read(p->out, p->text, sizeof(p->text) - 1);

	p->text[n < 0 ? 0 : n] = '\0';
	return p->text;
}

static void stop(struct log_pipe *p)
{
	log_set_fd(STDERR_FILENO);
	close(p->in);
	close(p->out);
}

static void assert_matches(const char *text, const char *pattern)
{
	regex_t re;

	ck_assert_int_eq(regcomp(&re, pattern, REG_EXTENDED | REG_NOSUB), 0);
	ck_assert_msg(regexec(&re, text, 0, NULL, 0) == 0, "'%s' does not match '%s'", text,
		      pattern);
	regfree(&re);
}

#define TIME "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3}Z"

START_TEST(a_text_record_is_time_level_message_and_fields)
{
	struct log_pipe p;
	const struct log_field fields[] = {
		{ "pod", "ns/a" }, { "none", NULL },	 { "empty", "" },
		{ "text", "a b" }, { "quote", "a\"b=" }, { "status", "403" },
	};

	start(&p, LOG_FORMAT_TEXT, LOG_LEVEL_INFO);
	log_write(LOG_LEVEL_WARN, fields, ARRAY_SIZE(fields), "refused %d: \"%s\"", 1, "why");
	assert_matches(drain(&p), "^" TIME " warn refused 1: \"why\" pod=ns/a empty=\"\" "
				  "text=\"a b\" quote=\"a\\\\\"b=\" status=403\n$");
	stop(&p);
}
END_TEST

/* The record as a document; the line must be one object and nothing else. */
static struct jval *parse_line(const char *line)
{
	struct err err = { 0 };
	size_t n = strlen(line);
	struct jval *doc;

	ck_assert_uint_gt(n, 0);
	ck_assert_int_eq(line[n - 1], '\n');
	ck_assert_ptr_eq(strchr(line, '\n'), line + n - 1);
	doc = jval_parse(line, n - 1, n, &err);
	ck_assert_msg(doc != NULL, "%s: %s", line, err.msg);
	return doc;
}

START_TEST(a_json_record_is_one_object_with_the_same)
{
	struct log_pipe p;
	const struct log_field fields[] = { { "pod", "ns/a" }, { "none", NULL } };
	struct jval *doc;

	start(&p, LOG_FORMAT_JSON, LOG_LEVEL_INFO);
	log_write(LOG_LEVEL_ERR, fields, 2, "a \"b\" %s", "c");
	doc = parse_line(drain(&p));
	assert_matches(jval_as_str(jval_get(doc, "time")), "^" TIME "$");
	ck_assert_str_eq(jval_as_str(jval_get(doc, "level")), "error");
	ck_assert_str_eq(jval_as_str(jval_get(doc, "msg")), "a \"b\" c");
	ck_assert_str_eq(jval_as_str(jval_get(doc, "pod")), "ns/a");
	ck_assert_ptr_null(jval_get(doc, "none"));
	jval_free(doc);
	stop(&p);
}
END_TEST

START_TEST(hostile_text_stays_inside_its_record)
{
	struct log_pipe p;
	const struct log_field fields[] = { { "pod", HOSTILE }, { "after", "here" } };
	const char *line;
	struct jval *doc;

	start(&p, LOG_FORMAT_JSON, LOG_LEVEL_INFO);
	log_write(LOG_LEVEL_INFO, fields, 2, "msg " HOSTILE);
	doc = parse_line(drain(&p));
	ck_assert_str_eq(jval_as_str(jval_get(doc, "level")), "info");
	ck_assert_str_eq(jval_as_str(jval_get(doc, "after")), "here");
	jval_free(doc);
	stop(&p);

	start(&p, LOG_FORMAT_TEXT, LOG_LEVEL_INFO);
	log_write(LOG_LEVEL_INFO, fields, 2, "msg " HOSTILE);
	line = drain(&p);
	ck_assert_ptr_eq(strchr(line, '\n'), line + strlen(line) - 1);
	for (const char *c = line; *c != '\n'; c++)
		ck_assert_msg(*c >= ' ' && *c < 0x7f, "byte %02x in a log line", (unsigned char)*c);
	ck_assert_ptr_nonnull(strstr(line, " after=here\n"));
	stop(&p);
}
END_TEST

START_TEST(a_level_that_is_off_writes_nothing)
{
	struct log_pipe p;

	start(&p, LOG_FORMAT_TEXT, LOG_LEVEL_WARN);
	log_info("no");
	log_debug("no");
	log_write(LOG_LEVEL_INFO, NULL, 0, "no");
	ck_assert_str_eq(drain(&p), "");
	log_set_level(LOG_LEVEL_DEBUG);
	ck_assert(log_enabled(LOG_LEVEL_DEBUG));
	log_debug("yes");
	assert_matches(drain(&p), " debug yes\n$");
	stop(&p);
}
END_TEST

START_TEST(a_write_that_fails_is_counted_and_leaves_errno_and_the_process_alone)
{
	unsigned long before = log_dropped();
	struct log_pipe p;
	int full = open("/dev/full", O_WRONLY | O_CLOEXEC);

	ck_assert_int_ge(full, 0);
	log_setup(LOG_FORMAT_TEXT, LOG_LEVEL_INFO);
	log_set_fd(full);
	errno = EXDEV;
	log_err("to where every write fails");
	ck_assert_int_eq(errno, EXDEV);
	ck_assert_uint_eq(log_dropped(), before + 1);
	close(full);

	/* nor is SIGPIPE raised where nobody reads any more */
	start(&p, LOG_FORMAT_TEXT, LOG_LEVEL_INFO);
	close(p.out);
	log_err("into a pipe that nobody reads");
	ck_assert_uint_eq(log_dropped(), before + 2);
	close(p.in);
	/* the next record tells of it, which must not be another test's */
	start(&p, LOG_FORMAT_TEXT, LOG_LEVEL_INFO);
	log_err("told");
	ck_assert_ptr_nonnull(strstr(drain(&p), "dropped so far"));
	stop(&p);
}
END_TEST

/* Fields of every length around the shares and the end of the line. */
static const size_t lengths[] = { 0, 1, 100, 636, 637, 638, 640, 641, 700, 1500, 4000, 20000 };

START_TEST(a_long_field_is_cut_and_says_so_and_the_line_stays_whole)
{
	for (int hostile = 0; hostile < 2; hostile++) {
		struct log_pipe p;
		char *value = xcalloc(1, lengths[_i] + 1);
		const struct log_field fields[] = { { "pod", value }, { "after", "here" } };
		struct jval *doc;
		const char *seen;

		memset(value, hostile ? '\x01' : 'v', lengths[_i]);
		start(&p, LOG_FORMAT_JSON, LOG_LEVEL_INFO);
		log_write(LOG_LEVEL_INFO, fields, 2, "m");
		ck_assert_uint_le(strlen(drain(&p)), 4096);
		doc = parse_line(p.text);
		seen = jval_as_str(jval_get(doc, "pod"));
		ck_assert_str_eq(jval_as_str(jval_get(doc, "after")), "here");
		if (lengths[_i] * (hostile ? 6 : 1) <= 640) {
			ck_assert_str_eq(seen, value);
		} else {
			ck_assert_str_eq(seen + strlen(seen) - 3, "...");
			ck_assert_int_eq(strncmp(seen, value, strlen(seen) - 3), 0);
			ck_assert_uint_ge(strlen(seen), 100);
		}
		jval_free(doc);
		stop(&p);
		free(value);
	}
}
END_TEST

START_TEST(a_long_message_is_cut_and_the_fields_still_fit)
{
	enum log_format formats[] = { LOG_FORMAT_JSON, LOG_FORMAT_TEXT };
	char *msg = xcalloc(1, lengths[_i] + 1);

	for (int i = 0; i < 4; i++) {
		struct log_pipe p;
		const struct log_field after = { "after", "here" };
		const char *line;

		memset(msg, i / 2 ? '\n' : 'm', lengths[_i]);
		start(&p, formats[i % 2], LOG_LEVEL_INFO);
		log_write(LOG_LEVEL_INFO, &after, 1, "%s", msg);
		line = drain(&p);
		ck_assert_uint_le(strlen(line), 4096);
		ck_assert_ptr_eq(strchr(line, '\n'), line + strlen(line) - 1);
		ck_assert(strstr(line, "after") && strstr(line, "here"));
		ck_assert_int_eq(strstr(line, "...") != NULL, lengths[_i] * (i / 2 ? 2 : 1) > 1536);
		if (formats[i % 2] == LOG_FORMAT_JSON)
			jval_free(parse_line(line));
		stop(&p);
	}
	free(msg);
}
END_TEST

START_TEST(a_field_for_which_no_room_is_left_is_left_out_whole)
{
	enum log_format formats[] = { LOG_FORMAT_JSON, LOG_FORMAT_TEXT };
	char value[600];
	struct log_field fields[10];

	memset(value, 'v', sizeof(value));
	value[sizeof(value) - 1] = '\0';
	for (size_t i = 0; i < 10; i++)
		fields[i] = (struct log_field){ "key", value };
	fields[9] = (struct log_field){ "last", "short" };
	for (int i = 0; i < 2; i++) {
		struct log_pipe p;
		const char *line;
		size_t whole = 0, keys = 0;

		start(&p, formats[i], LOG_LEVEL_INFO);
		log_write(LOG_LEVEL_INFO, fields, 10, "m");
		line = drain(&p);
		ck_assert_uint_le(strlen(line), 4096);
		for (const char *at = line; (at = strstr(at, "vvv")); at += sizeof(value) - 1) {
			whole++;
			ck_assert_uint_eq(strspn(at, "v"), sizeof(value) - 1);
		}
		for (const char *at = line; (at = strstr(at, "key")); at++)
			keys++;
		ck_assert_uint_eq(whole, 6);
		ck_assert_uint_eq(keys, whole);
		ck_assert(strstr(line, "last") && strstr(line, "short"));
		stop(&p);
	}
}
END_TEST

START_TEST(a_full_pipe_drops_lines_counts_them_and_says_so_later)
{
	struct log_pipe p;
	char value[600];
	const struct log_field field = { "key", value };
	unsigned long written = 0, seen = 0, before = log_dropped();
	char expect[256];
	ssize_t n;

	memset(value, 'v', sizeof(value));
	value[sizeof(value) - 1] = '\0';
	start(&p, LOG_FORMAT_TEXT, LOG_LEVEL_INFO);
	/* blocking, so that a write which does not check would hang and fail by the test's time */
	ck_assert_int_eq(fcntl(p.in, F_SETFL, 0), 0);
	for (; log_dropped() < before + 5 && written < 1000; written++)
		log_write(LOG_LEVEL_INFO, &field, 1, "line %lu", written);
	ck_assert_uint_eq(log_dropped(), before + 5);
	written -= 5;
	while ((n = read(p.out, p.text, sizeof(p.text))) > 0) {
		for (ssize_t i = 0; i < n; i++)
			seen += p.text[i] == '\n';
	}
	ck_assert_uint_eq(seen, written);

	log_info("room again");
	snprintf(expect, sizeof(expect),
		 "^" TIME " info room again\n" TIME
		 " warn %lu log lines were dropped so far: stderr was not read\n$",
		 log_dropped());
	assert_matches(drain(&p), expect);
	log_info("and only once");
	assert_matches(drain(&p), "^" TIME " info and only once\n$");
	stop(&p);
}
END_TEST

START_TEST(quoting_for_a_message_escapes_cuts_and_takes_null)
{
	char buf[LOG_Q_MAX], long_text[1000];
	const char *q;

	ck_assert_str_eq(log_q(buf, "a\"b\n"), "\"a\\\"b\\n\"");
	ck_assert_str_eq(log_q(buf, ""), "\"\"");
	ck_assert_str_eq(log_q(buf, NULL), "(none)");
	ck_assert_str_eq(LOG_Q("x"), "\"x\"");
	memset(long_text, '\x01', sizeof(long_text));
	long_text[sizeof(long_text) - 1] = '\0';
	q = log_q(buf, long_text);
	ck_assert_uint_lt(strlen(q), LOG_Q_MAX);
	ck_assert_int_eq(q[strlen(q) - 1], '"');
}
END_TEST

START_TEST(a_limit_lets_one_pass_an_interval_and_counts_the_rest)
{
	struct log_limit l = { 0 };
	struct mono t = { 5 };
	unsigned long held = 99;

	ck_assert(log_limit_pass(&l, t, 1000, &held));
	ck_assert_uint_eq(held, 0);
	for (int i = 0; i < 7; i++)
		ck_assert(!log_limit_pass(&l, mono_add_msec(t, 999), 1000, &held));
	ck_assert(log_limit_pass(&l, mono_add_msec(t, 1000), 1000, &held));
	ck_assert_uint_eq(held, 7);
	ck_assert(log_limit_pass(&l, mono_add_msec(t, 5000), 1000, &held));
	ck_assert_uint_eq(held, 0);
}
END_TEST

UNIT_MAIN("log", UNIT(a_text_record_is_time_level_message_and_fields),
	  UNIT(a_json_record_is_one_object_with_the_same),
	  UNIT(hostile_text_stays_inside_its_record), UNIT(a_level_that_is_off_writes_nothing),
	  UNIT(a_write_that_fails_is_counted_and_leaves_errno_and_the_process_alone),
	  UNIT_LOOP(a_long_field_is_cut_and_says_so_and_the_line_stays_whole, lengths),
	  UNIT_LOOP(a_long_message_is_cut_and_the_fields_still_fit, lengths),
	  UNIT(a_field_for_which_no_room_is_left_is_left_out_whole),
	  UNIT(a_full_pipe_drops_lines_counts_them_and_says_so_later),
	  UNIT(quoting_for_a_message_escapes_cuts_and_takes_null),
	  UNIT(a_limit_lets_one_pass_an_interval_and_counts_the_rest))
