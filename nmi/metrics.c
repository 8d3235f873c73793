/* SPDX-License-Identifier: MIT */

/* The agent's metrics as a table: see metrics.def. */

#include "nmi/metrics.h"

/* aad-pod-identity's buckets */
static const double buckets_imds[] = { .01, .02, .05, .1, .2, .3, .4, .5, .6,
				       .7,  .8,	 .9,  1,  2,  3,  4,  5,  10 };
static const double buckets_nmi[] = { .5, 1,  2,  3,  4,  5,  10, 15, 20,
				      25, 30, 40, 50, 60, 70, 80, 90, 100 };

#define BUCKETS_NONE NULL, 0
#define BUCKETS_IMDS buckets_imds, sizeof(buckets_imds) / sizeof(buckets_imds[0])
#define BUCKETS_NMI  buckets_nmi, sizeof(buckets_nmi) / sizeof(buckets_nmi[0])

#define DESC(name, type, help, buckets, n_buckets, ...)                                            \
	{                                                                                          \
		name, type, help, { __VA_ARGS__ }, buckets, n_buckets                              \
	}
#define EXPAND(name, type, help, ...) DESC(name, type, help, __VA_ARGS__)

const struct metric_desc nmi_metric_descs[NMI_METRICS] = {
#define X(id, name, type, buckets, help, ...)                                                      \
	[NMI_METRIC_##id] = EXPAND(name, type, help, buckets, ##__VA_ARGS__),
#include "nmi/metrics.def"
#undef X
};
