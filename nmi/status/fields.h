/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * What the agent tells about itself, as structs that it fills and as a table of them (fields.def). The
 * document, the page for people and docs/status.rst are made of that table, so they cannot disagree.
 *
 * No secret, token or assertion has a place here: what is a string is a name, an address, or a sentence
 * that stands in the log as well.
 *
 * Strings are borrowed until the document is printed; NULL is null. A number below 0 is one that is not to
 * be had, and null as well.
 */
#define STATUS_SCHEMA 1
/* Rows of a list; more are left out. */
#define STATUS_ROWS_MAX 16
#define STATUS_WHY_MAX	256

struct status_check {
	const char *name, *why;
	bool ok;
};

struct status_watch {
	const char *name, *state, *error;
	int64_t age, restarts;
	bool synced;
};

struct status_source {
	const char *name;
	int64_t in_flight, max_in_flight, queued, per_second, left, braked;
};

struct status_process {
	const char *name;
	int64_t pid, resident, shared, files;
};

struct status_agent {
	const char *version, *node, *mode;
	int64_t pid, since, uptime;
	bool stopping, ready;

	const char *rules_state, *rules_why, *backend, *backend_chosen, *protection, *metadata,
		*agent;
	int64_t repairs, last_repair, spoofed, bridge_ports, mismatches;

	int64_t pods, identities, bindings, exceptions, assigned, accounts;
	int64_t answered, refused, connections, waiting, events, log_dropped, audit_dropped;
	int64_t tokens, hits, misses, stale, flights, failures, retries, in_flight, queued,
		cache_waiting, pod_limited;
	const char *self_test;
	const char *restart; /* names of settings */

	struct status_check checks[STATUS_ROWS_MAX];
	struct status_watch watches[STATUS_ROWS_MAX];
	struct status_source sources[STATUS_ROWS_MAX];
	struct status_process processes[STATUS_ROWS_MAX];
	size_t n_checks, n_watches, n_sources, n_processes;
	/* What there is around the agent on this node: sentences. */
	const char *const *surroundings;
	size_t n_surroundings;

	char why[STATUS_ROWS_MAX][STATUS_WHY_MAX]; /* room for those of the checks */
	char metadata_text[64], agent_text[64];	   /* and for these */
};

enum status_kind {
	STATUS_STR,  /* const char * */
	STATUS_BOOL, /* bool */
	/* int64_t; how a person reads it */
	STATUS_INT,
	STATUS_TIME, /* seconds since the epoch */
	STATUS_SECONDS,
	STATUS_MSEC,
	STATUS_USEC,
	STATUS_KIB,
};

enum status_list {
	STATUS_LIST_agent, /* the document itself */
	STATUS_LIST_check,
	STATUS_LIST_watch,
	STATUS_LIST_source,
	STATUS_LIST_process,
};

struct status_field {
	enum status_list list;
	const char *path; /* "group.name", or of a row "name" */
	enum status_kind kind;
	size_t offset;
	const char *label, *meaning;
};

extern const struct status_field status_fields[];
extern const size_t n_status_fields;

/* The parts of the document, in the order in which a person reads them. */
enum status_part_kind { STATUS_PART_GROUP, STATUS_PART_ROWS, STATUS_PART_SENTENCES };

struct status_part {
	enum status_part_kind kind;
	const char *key; /* of fields: what stands before the dot, "" none; of a list: its name */
	const char *title;
	const char *meaning;	   /* of a list */
	enum status_list list;	   /* of STATUS_PART_ROWS */
	size_t rows, n, row_bytes; /* in struct status_agent: where, how many, how large */
};

extern const struct status_part status_parts[];
extern const size_t n_status_parts;

/* Does the field stand in that part? `out_key` is then its name there. */
bool status_is_in(const struct status_part *part, const struct status_field *f,
		  const char **out_key);
