/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/clock.h"
#include "lib/base/err.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * One line a record, to stderr, as text (`time level message key=value`) or JSON. Writing never
 * blocks: when the reader of stderr is stuck, records are dropped, counted, and the count is logged
 * once there is room. A failure is logged once, where it stops travelling; lib/ stays at debug.
 * The destination and level are the process's, like stderr itself; set once by main().
 *
 * A record is one line of ASCII of at most 4,096 bytes, whatever stands in it; a message or value that
 * is too long ends in "...", and a field that does not fit at all is left out.
 */
enum log_level { LOG_LEVEL_ERR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG, LOG_LEVELS };
enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON };

/* A key is a literal of ours; a value may be anything, the logger quotes it. */
struct log_field {
	const char *key;
	const char *value; /* NULL: the field is left out */
};

void log_setup(enum log_format format, enum log_level level);
void log_set_level(enum log_level level);
bool log_enabled(enum log_level level);
/* Lines go to this fd (not owned) instead of stderr: tests read them back. */
void log_set_fd(int fd);
unsigned long log_dropped(void);

void log_write(enum log_level level, const struct log_field *fields, size_t n, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

#define log_at(level, ...)                                                                         \
	do {                                                                                       \
		if (log_enabled(level))                                                            \
			log_write(level, NULL, 0, __VA_ARGS__);                                    \
	} while (0)
#define log_err(...)   log_at(LOG_LEVEL_ERR, __VA_ARGS__)
#define log_warn(...)  log_at(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...)  log_at(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_at(LOG_LEVEL_DEBUG, __VA_ARGS__)

/* Text from outside, quoted and escaped: log_warn("object %s", LOG_Q(name)). Cut at LOG_Q_MAX. */
#define LOG_Q_MAX 160
const char *log_q(char buf[static LOG_Q_MAX], const char *s);
#define LOG_Q(s) log_q((char[LOG_Q_MAX]){ 0 }, (s))

/*
 * For whatever a pod or a broken peer can trigger: true at most once an interval; `out_held` then
 * says how many were held back since the last one. Embedded, all-zero is ready.
 */
struct log_limit {
	struct mono next;
	unsigned long held;
};
bool log_limit_pass(struct log_limit *l, struct mono now, unsigned interval_msec,
		    unsigned long *out_held);
