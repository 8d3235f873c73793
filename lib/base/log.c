/* SPDX-License-Identifier: MIT */

/* Logging: see log.h. */

#include "lib/base/log.h"

#include "lib/base/str.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/*
 * A line is at most PIPE_BUF, so that it is written whole or not at all (pipe(7)). Message and values
 * have a share of it each, in bytes as written, so that a hostile value cannot push the rest out.
 */
#define LINE_BYTES    4096
#define MESSAGE_BYTES 2048
#define VALUE_BYTES   640
#define CUT	      "..." /* the end of a text that was longer than its share */
static_assert(LINE_BYTES <= PIPE_BUF, "a longer line could be torn, or block");

static struct {
	enum log_format format;
	enum log_level level;
	int fd;
	unsigned long dropped;
	unsigned long dropped_told;
} logger = { LOG_FORMAT_TEXT, LOG_LEVEL_INFO, STDERR_FILENO, 0, 0 };

static const char *const level_name[LOG_LEVELS] = {
	[LOG_LEVEL_ERR] = "error",
	[LOG_LEVEL_WARN] = "warn",
	[LOG_LEVEL_INFO] = "info",
	[LOG_LEVEL_DEBUG] = "debug",
};

void log_setup(enum log_format format, enum log_level level)
{
	logger.format = format;
	logger.level = level;
}

void log_set_level(enum log_level level)
{
	logger.level = level;
}

bool log_enabled(enum log_level level)
{
	return level <= logger.level;
}

void log_set_fd(int fd)
{
	logger.fd = fd;
}

unsigned long log_dropped(void)
{
	return logger.dropped;
}

const char *log_q(char buf[static LOG_Q_MAX], const char *s)
{
	size_t n;

	if (!s)
		return "(none)";
	buf[0] = '"';
	n = str_escape(buf + 1, LOG_Q_MAX - 2, str_of(s));
	buf[n + 1] = '"';
	buf[n + 2] = '\0';
	return buf;
}

bool log_limit_pass(struct log_limit *l, struct mono now, unsigned interval_msec,
		    unsigned long *out_held)
{
	if (mono_before(now, l->next)) {
		l->held++;
		return false;
	}
	*out_held = l->held;
	l->held = 0;
	l->next = mono_add_msec(now, interval_msec);
	return true;
}

/* A line under construction. */
struct line {
	char p[LINE_BYTES];
	size_t n;
	bool full; /* something did not fit, and is not there */
};

static void line_add(struct line *l, const char *s)
{
	size_t n = strlen(s);

	if (n > sizeof(l->p) - strlen("}\n") - l->n) {
		l->full = true;
		return;
	}
	memcpy(l->p + l->n, s, n);
	l->n += n;
}

static void line_add_escaped(struct line *l, const char *s, size_t share)
{
	char text[MESSAGE_BYTES + STR_ESCAPE_MAX + 1];
	/* with room for one escape more than its share, a text that is too long shows */
	bool cut = str_escape(text, share + STR_ESCAPE_MAX + 1, str_of(s)) > share;

	if (cut)
		(void)str_escape(text, share - strlen(CUT) + 1, str_of(s));
	line_add(l, text);
	line_add(l, cut ? CUT : "");
}

/* Our own words, so quotes and backslashes stay; but one record is one line, whatever is in them. */
static void line_add_message(struct line *l, const char *s)
{
	const size_t end = l->n + MESSAGE_BYTES - strlen(CUT);

	for (; *s; s++) {
		char one[STR_ESCAPE_MAX + 1] = { *s };

		if (*s != '"' && *s != '\\')
			(void)str_escape(one, sizeof(one), (struct str){ s, 1 });
		if (l->n + strlen(one) > end) {
			line_add(l, CUT);
			return;
		}
		line_add(l, one);
	}
}

/* `open` key `is` value `close`, or nothing of it. */
static void line_add_field(struct line *l, const char *open, const struct log_field *f,
			   const char *is, const char *close)
{
	size_t was = l->n;

	l->full = false;
	line_add(l, open);
	line_add(l, f->key);
	line_add(l, is);
	line_add_escaped(l, f->value, VALUE_BYTES);
	line_add(l, close);
	if (l->full)
		l->n = was;
}

static void line_add_time(struct line *l)
{
	struct timespec ts;
	struct tm tm;
	char text[40];
	size_t n;

	clock_gettime(CLOCK_REALTIME, &ts);
	if (!gmtime_r(&ts.tv_sec, &tm))
		return;
	n = strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
	(void)snprintf(text + n, sizeof(text) - n, ".%03ldZ", ts.tv_nsec / 1000000);
	line_add(l, text);
}

static bool needs_quotes(const char *v)
{
	if (!*v)
		return true;
	for (; *v; v++) {
		if (*v <= ' ' || *v >= 0x7f || *v == '"' || *v == '\\' || *v == '=')
			return true;
	}
	return false;
}

static void add_text(struct line *l, enum log_level level, const char *msg,
		     const struct log_field *fields, size_t n)
{
	line_add_time(l);
	line_add(l, " ");
	line_add(l, level_name[level]);
	line_add(l, " ");
	line_add_message(l, msg);
	for (size_t i = 0; i < n; i++) {
		if (!fields[i].value)
			continue;
		if (needs_quotes(fields[i].value))
			line_add_field(l, " ", &fields[i], "=\"", "\"");
		else
			line_add_field(l, " ", &fields[i], "=", "");
	}
}

static void add_json(struct line *l, enum log_level level, const char *msg,
		     const struct log_field *fields, size_t n)
{
	line_add(l, "{\"time\":\"");
	line_add_time(l);
	line_add(l, "\",\"level\":\"");
	line_add(l, level_name[level]);
	line_add(l, "\",\"msg\":\"");
	line_add_escaped(l, msg, MESSAGE_BYTES);
	line_add(l, "\"");
	for (size_t i = 0; i < n; i++) {
		if (fields[i].value)
			line_add_field(l, ",\"", &fields[i], "\":\"", "\"");
	}
}

/*
 * A pipe is writable when a whole PIPE_BUF fits, so this write does not block, unless another process has
 * filled it in between: against that main() has pipe_own(). One whose reader is gone is writable too, but
 * writing would raise SIGPIPE: it is left alone.
 */
static bool put(const char *p, size_t n)
{
	struct pollfd pfd = { .fd = logger.fd, .events = POLLOUT };
	ssize_t w;

	if (poll(&pfd, 1, 0) == 1 && pfd.revents == POLLOUT) {
		do {
			w = write(logger.fd, p, n);
		} while (w < 0 && errno == EINTR);
		if (w == (ssize_t)n)
			return true;
	}
	logger.dropped++;
	return false;
}

static bool emit(enum log_level level, const char *msg, const struct log_field *fields, size_t n)
{
	struct line l;

	l.n = 0;
	if (logger.format == LOG_FORMAT_JSON) {
		add_json(&l, level, msg, fields, n);
		l.p[l.n++] = '}';
	} else {
		add_text(&l, level, msg, fields, n);
	}
	l.p[l.n++] = '\n';
	return put(l.p, l.n);
}

/* Once there is room again. */
static void tell_dropped(void)
{
	char text[96];

	logger.dropped_told = logger.dropped;
	(void)snprintf(text, sizeof(text), "%lu log lines were dropped so far: stderr was not read",
		       logger.dropped);
	(void)emit(LOG_LEVEL_WARN, text, NULL,
		   0); /* if it is dropped too, it is counted and told later */
}

void log_write(enum log_level level, const struct log_field *fields, size_t n, const char *fmt, ...)
{
	char msg[MESSAGE_BYTES + 2]; /* one more than is shown, so that a cut shows */
	int was = errno;
	va_list ap;

	if (!log_enabled(level))
		return;
	va_start(ap, fmt);
	(void)vsnprintf(msg, sizeof(msg), fmt, ap);
	va_end(ap);
	if (emit(level, msg, fields, n) && logger.dropped != logger.dropped_told)
		tell_dropped();
	errno = was;
}
