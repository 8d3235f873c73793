/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/err.h"

#include <jansson.h>
#include <stddef.h>

/*
 * Kubernetes' protobuf, as far as `kubectl create` sends it for kinds that it knows: requests only, and
 * the kinds of the table in proto.c. Everything is answered in JSON, which every client accepts.
 */
json_t *proto_decode(const char *p, size_t n, struct err *err);
