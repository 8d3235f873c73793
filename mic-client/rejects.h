/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/hmap.h"

#include <stdbool.h>
#include <stddef.h>

struct object_id;

/*
 * Which malformed objects have been warned of, and at which resourceVersion: each is named once, and
 * again only when it was changed and is still malformed. Embedded; all-zero is empty and valid.
 * Bounded: past REJECTS_MAX the oldest is forgotten, and so may be named again.
 */
#define REJECTS_MAX 1024

struct rejects {
	struct hmap seen;
	unsigned epoch;
};

/* True when this version of the object has not been warned of yet. */
bool rejects_note(struct rejects *r, const struct object_id *id);
/* The object is gone or readable; true when it had been warned of. */
bool rejects_forget(struct rejects *r, const struct object_id *id);
/* What is not noted between begin and end does not exist any more, or is readable. */
void rejects_resync_begin(struct rejects *r);
void rejects_resync_end(struct rejects *r);
void rejects_deinit(struct rejects *r);
