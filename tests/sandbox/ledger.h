/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/cleanup.h"
#include "lib/base/err.h"

#include <jansson.h>

/*
 * What a stand-in gave or was given and nobody may show: an object of JSON on each line, on disk before
 * whoever asked has his answer. tests/leaks/ledger.py says what stands in one. One thread.
 */
struct ledger;

/* Appends to what is there. */
struct ledger *ledger_open(const char *path, struct err *err);
struct ledger *ledger_close(struct ledger *l);
DEFINE_CLEANUP(struct ledger, ledger_close);

/* Without a ledger (NULL) nothing is written; one that cannot be written ends the process. */
void ledger_write_take(struct ledger *l, json_t *entry);
