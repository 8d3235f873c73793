/* SPDX-License-Identifier: MIT */

#include "nmi/front/accept.h"
#include "tests/unit/unit.h"

#define OM "application/openmetrics-text"

static const struct {
	const char *accept;
	enum metric_format format;
} rows[] = {
	{ "", METRIC_TEXT },
	{ "*/*", METRIC_TEXT }, /* curl */
	{ "text/html,application/xhtml+xml,*/*;q=0.8", METRIC_TEXT },
	{ OM, METRIC_OPENMETRICS },
	{ " APPLICATION/OpenMetrics-Text ; Version=1.0.0 ", METRIC_OPENMETRICS },
	/* Prometheus 2.42 */
	{ OM ";version=1.0.0," OM ";version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
	  METRIC_OPENMETRICS },
	/* Prometheus 3 */
	{ OM ";version=1.0.0;escaping=allow-utf-8;q=0.6," OM ";version=0.0.1;q=0.5,"
	     "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/"
	     "*;q=0.2",
	  METRIC_OPENMETRICS },
	/* before it, with native histograms on */
	{ "application/"
	  "vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited," OM
	  ";version=1.0.0;q=0.8,text/plain;version=0.0.4;q=0.5",
	  METRIC_OPENMETRICS },
	/* what prefers text */
	{ "text/plain;version=0.0.4;q=0.9," OM ";version=1.0.0;q=0.8", METRIC_TEXT },
	{ OM ";q=0.5,text/plain", METRIC_TEXT },
	{ OM ";q=0.5,text/plain;q=0.5", METRIC_OPENMETRICS },
	/* a version of text that we have not is no preference */
	{ OM ";q=0.5,text/plain;version=1.0.0", METRIC_OPENMETRICS },
	/* not wanted, or not what we have */
	{ OM ";q=0", METRIC_TEXT },
	{ OM ";q=0.000", METRIC_TEXT },
	{ OM ";version=0.0.1", METRIC_TEXT },
	{ OM ";version=2.0.0", METRIC_TEXT },
	{ "application/openmetrics-text2", METRIC_TEXT },
	{ "application/openmetrics", METRIC_TEXT },
	/* no quality at all */
	{ OM ";q=", METRIC_TEXT },
	{ OM ";q=2", METRIC_TEXT },
	{ OM ";q=1.5", METRIC_TEXT },
	{ OM ";q=11", METRIC_TEXT },
	{ OM ";q=0.1234", METRIC_TEXT },
	{ OM ";q=-1", METRIC_TEXT },
	{ OM ";q=.5", METRIC_TEXT },
	{ OM ";q=1.", METRIC_OPENMETRICS },
	{ OM ";q=1.000", METRIC_OPENMETRICS },
	{ ",;,=;;q,;=," OM ";;,", METRIC_OPENMETRICS },
};

START_TEST(the_format_is_the_one_that_is_preferred)
{
	ck_assert_int_eq(accept_format(str_of(rows[_i].accept)), rows[_i].format);
}
END_TEST

UNIT_MAIN("accept", UNIT_LOOP(the_format_is_the_one_that_is_preferred, rows))
