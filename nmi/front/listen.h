/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/err.h"

struct server_spec;

/* A socket of its own for that listener, or minus a kind of error that says what to do about it. */
int listen_on(const struct server_spec *spec, struct err *err);
