/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/metric.h"
#include "lib/base/str.h"

/*
 * Which format of the metrics page a client prefers, by its Accept header (RFC 9110, 12.5.1). Pure.
 * OpenMetrics is for who names application/openmetrics-text, in version 1.0.0 or without a version, and
 * wants the text format not more: a browser or curl, which take anything, get what a person can read.
 * An empty header, or one that makes no sense, is one for text.
 */
enum metric_format accept_format(struct str accept);
