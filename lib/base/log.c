/* SPDX-License-Identifier: MIT */

/* Logging: see log.h. */

#include "lib/base/log.h"

#include "lib/base/str.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* At most PIPE_BUF, so that a line is written whole or not at all (pipe(7)). */
#define LINE_MAX_BYTES 4096
#define MESSAGE_MAX    2048

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

/* A line under construction; what does not fit is cut, never overrun. */
struct line {
	char p[LINE_MAX_BYTES];
	size_t n;
};

static void line_add(struct line *l, const char *s)
{
	size_t k = strlen(s),
	       room = sizeof(l->p) - 2 - l->n; /* a newline and a NUL still to come */

	if (k > room)
		k = room;
	memcpy(l->p + l->n, s, k);
	l->n += k;
}

static void line_add_escaped(struct line *l, const char *s)
{
	/* the closing quote and brace must fit whatever the value was */
	size_t room = sizeof(l->p) - l->n;

	if (room > 8)
		l->n += str_escape(l->p + l->n, room - 6, str_of(s));
}

static void add_time(struct line *l)
{
	struct timespec ts;
	struct tm tm;
	char text[40];
	size_t n;

	clock_gettime(CLOCK_REALTIME, &ts);
	if (!gmtime_r(&ts.tv_sec, &tm))
		return;
	n = strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text + n, sizeof(text) - n, ".%03ldZ", ts.tv_nsec / 1000000);
	line_add(l, text);
}

static bool needs_quotes(const char *v)
{
	return !*v || strcspn(v, " \"\\=") != strlen(v) || strpbrk(v, "\n\r\t");
}

static void add_text(struct line *l, enum log_level level, const char *msg,
		     const struct log_field *fields, size_t n)
{
	add_time(l);
	line_add(l, " ");
	line_add(l, level_name[level]);
	line_add(l, " ");
	line_add(l, msg);
	for (size_t i = 0; i < n; i++) {
		bool quote;

		if (!fields[i].value)
			continue;
		quote = needs_quotes(fields[i].value);
		line_add(l, " ");
		line_add(l, fields[i].key);
		line_add(l, quote ? "=\"" : "=");
		line_add_escaped(l, fields[i].value);
		line_add(l, quote ? "\"" : "");
	}
}

static void add_json(struct line *l, enum log_level level, const char *msg,
		     const struct log_field *fields, size_t n)
{
	line_add(l, "{\"time\":\"");
	add_time(l);
	line_add(l, "\",\"level\":\"");
	line_add(l, level_name[level]);
	line_add(l, "\",\"msg\":\"");
	line_add_escaped(l, msg);
	line_add(l, "\"");
	for (size_t i = 0; i < n; i++) {
		/* a field that would not fit whole is left out, so that the line stays JSON */
		if (!fields[i].value ||
		    l->n + strlen(fields[i].key) + STR_ESCAPE_MAX * strlen(fields[i].value) + 16 >
			    sizeof(l->p))
			continue;
		line_add(l, ",\"");
		line_add(l, fields[i].key);
		line_add(l, "\":\"");
		line_add_escaped(l, fields[i].value);
		line_add(l, "\"");
	}
	line_add(l, "}");
}

static bool put(const char *p, size_t n)
{
	struct pollfd pfd = { .fd = logger.fd, .events = POLLOUT };
	ssize_t w;

	/* a pipe is writable when a whole PIPE_BUF fits, so this write does not block */
	if (poll(&pfd, 1, 0) == 1 && (pfd.revents & POLLOUT)) {
		do {
			w = write(logger.fd, p, n);
		} while (w < 0 && errno == EINTR);
		if (w == (ssize_t)n)
			return true;
	}
	logger.dropped++;
	return false;
}

static void emit(enum log_level level, const char *msg, const struct log_field *fields, size_t n)
{
	struct line l;

	l.n = 0;
	(logger.format == LOG_FORMAT_JSON ? add_json : add_text)(&l, level, msg, fields, n);
	l.p[l.n++] = '\n';
	if (!put(l.p, l.n) || logger.dropped == logger.dropped_told)
		return;
	logger.dropped_told = logger.dropped;
	{
		char text[96];

		snprintf(text, sizeof(text),
			 "%lu log lines were dropped so far: stderr was not read", logger.dropped);
		emit(LOG_LEVEL_WARN, text, NULL, 0);
	}
}

void log_write(enum log_level level, const struct log_field *fields, size_t n, const char *fmt, ...)
{
	char msg[MESSAGE_MAX];
	int was = errno;
	va_list ap;

	if (!log_enabled(level))
		return;
	va_start(ap, fmt);
	(void)vsnprintf(msg, sizeof(msg), fmt, ap); /* a long message is cut */
	va_end(ap);
	emit(level, msg, fields, n);
	errno = was;
}
