/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/metric.h"

/* The rows of metrics.def, by index. */
enum nmi_metric {
#define X(id, ...) NMI_METRIC_##id,
#include "nmi/metrics.def"
#undef X
	NMI_METRICS,
};

extern const struct metric_desc nmi_metric_descs[NMI_METRICS];
