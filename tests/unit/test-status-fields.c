/* SPDX-License-Identifier: MIT */

#include "nmi/status/fields.h"
#include "tests/unit/unit.h"

#include <string.h>

START_TEST(every_field_stands_in_one_part)
{
	for (size_t i = 0; i < n_status_fields; i++) {
		const char *key;
		int parts = 0;

		for (size_t k = 0; k < n_status_parts; k++)
			parts += status_is_in(&status_parts[k], &status_fields[i], &key);
		ck_assert_msg(parts == 1, "%s stands in %d parts", status_fields[i].path, parts);
	}
}
END_TEST

START_TEST(no_two_have_one_name)
{
	for (size_t i = 0; i < n_status_fields; i++)
		for (size_t k = 0; k < i; k++)
			ck_assert_msg(status_fields[i].list != status_fields[k].list ||
					      strcmp(status_fields[i].path,
						     status_fields[k].path) != 0,
				      "%s", status_fields[i].path);
}
END_TEST

/* A promise to scripts: these and no others; what is added is added here. */
static const char *const promised[] = {
	"version",
	"node",
	"mode",
	"pid",
	"since",
	"uptime_seconds",
	"stopping",
	"ready",
	"self_test",
	"restart_needed_for",
	"rules.state",
	"rules.why",
	"rules.backend",
	"rules.chosen",
	"rules.protection",
	"rules.metadata",
	"rules.agent",
	"rules.repairs",
	"rules.last_repair_usec",
	"rules.spoofed_packets",
	"rules.bridge_ports",
	"rules.link_mismatches",
	"known.pods",
	"known.identities",
	"known.bindings",
	"known.exceptions",
	"known.assigned",
	"known.service_accounts",
	"requests.answered",
	"requests.refused",
	"requests.connections",
	"requests.waiting",
	"requests.events",
	"requests.log_dropped",
	"requests.audit_dropped",
	"cache.tokens",
	"cache.hits",
	"cache.misses",
	"cache.stale",
	"cache.fetches",
	"cache.failures",
	"cache.retries",
	"cache.in_flight",
	"cache.queued",
	"cache.waiting",
	"cache.pod_limited",
};

START_TEST(names_stay)
{
	size_t found = 0;

	for (size_t i = 0; i < n_status_fields; i++)
		found += status_fields[i].list == STATUS_LIST_agent &&
			 strcmp(status_fields[i].path, promised[_i]) == 0;
	ck_assert_msg(found == 1, "%s", promised[_i]);
}
END_TEST

START_TEST(a_label_fits_its_column_and_a_meaning_has_no_full_stop)
{
	for (size_t i = 0; i < n_status_fields; i++) {
		const struct status_field *f = &status_fields[i];

		ck_assert_msg(strlen(f->label) < 18, "%s", f->label);
		ck_assert_msg(f->meaning[strlen(f->meaning) - 1] != '.', "%s", f->path);
	}
}
END_TEST

UNIT_MAIN("status-fields", UNIT(every_field_stands_in_one_part), UNIT(no_two_have_one_name),
	  UNIT_LOOP(names_stay, promised),
	  UNIT(a_label_fits_its_column_and_a_meaning_has_no_full_stop))
