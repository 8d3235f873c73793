/* SPDX-License-Identifier: MIT */

#include "lib/base/mem.h"
#include "nmi/config.h"
#include "tests/unit/unit.h"

#include <string.h>

#define ARGS_MAX 12

/* Parse and check a command line; the variables that nmi reads are out of the way. */
static int configure(const char *const *args, struct nmi_config *c, enum opt_result *what,
		     struct err *err)
{
	char *argv[ARGS_MAX + 2] = { (char *)(uintptr_t) "nmi" };
	int argc = 1, r;

	clearenv();
	for (; args[argc - 1]; argc++)
		argv[argc] = (char *)(uintptr_t)args[argc - 1];
	r = opt_parse(&nmi_options, c, argc, argv, what, err);
	return r < 0 ? r : nmi_config_check(c, err);
}

#define MANAGED "--node=n", "--operation-mode=managed"

static const struct {
	const char *args[ARGS_MAX];
	const char *says; /* NULL: accepted */
} lines[] = {
	{ { MANAGED }, NULL },
	{ { "--node", "n", "--operation-mode", "Managed" }, NULL },
	{ { "--operation-mode=managed" }, "--node is required" },
	{ { "--node=n" }, NULL },
	{ { "--node=n", "--operation-mode=Standard", "--MICNamespace=kube-system",
	    "--mic-service-account=mic", "--forceNamespaced" },
	  NULL },
	/* to fail at once, as the old documentation has it */
	{ { "--node=n", "--retry-attempts-for-created=1", "--retry-attempts-for-assigned=1",
	    "--find-identity-retry-interval=1", "--set-retry-after-header=true" },
	  NULL },
	{ { "--node=n", "--retry-attempts-for-created=0", "--retry-attempts-for-assigned=0" },
	  NULL },
	{ { "--node=n", "--retry-attempts-for-created=-1" }, "--retry-attempts-for-created: '-1'" },
	{ { "--node=n", "--find-identity-retry-interval=5s" },
	  "--find-identity-retry-interval: '5s'" },
	{ { "--node=n", "--find-identity-retry-interval=180" }, NULL },
	{ { "--node=n", "--find-identity-retry-interval=181" },
	  "--find-identity-retry-interval: (16 + 4) attempts of 181 s are more than an hour" },
	{ { "--node=n", "--find-identity-retry-interval=1000000",
	    "--retry-attempts-for-created=1000000" },
	  "more than an hour" },
	{ { "--node=n", "--find-identity-retry-interval=1", "--retry-attempts-for-created=4000" },
	  "more than an hour" },
	{ { "--node=n", "--operation-mode=both" }, "--operation-mode: 'both' is not one of" },
	{ { MANAGED, "--nmi-port=0" }, "--nmi-port must not be 0" },
	{ { MANAGED, "--nmi-port=65536" }, "--nmi-port: '65536'" },
	{ { MANAGED, "--nmi-port=http" }, "--nmi-port: 'http'" },
	{ { MANAGED, "--nmi-port" }, "--nmi-port needs a value" },
	{ { MANAGED, "--metadata-port=0" }, "--metadata-port must not be 0" },
	{ { MANAGED, "--metadata-ip=imds" }, "--metadata-ip: 'imds'" },
	{ { MANAGED, "--metadata-ip=fd00::1" }, "--metadata-ip: 'fd00::1' is not an IPv4" },
	{ { MANAGED, "--nmi-listen-address=0.0.0.0" }, NULL },
	{ { MANAGED, "--nmi-listen-address=eth0" }, "--nmi-listen-address: 'eth0'" },
	{ { MANAGED, "--nmi-listen-address=::" },
	  "'::' is an IPv6 address, and the packet rules guard the port over IPv4 only" },
	{ { MANAGED, "--nmi-listen-address=fd00::4", "--redirect-backend=nft" },
	  "--redirect-backend=none" },
	{ { MANAGED, "--nmi-listen-address=::1" }, "IPv6" },
	{ { MANAGED, "--nmi-listen-address=::", "--redirect-backend=none" }, NULL },
	{ { MANAGED, "--nmi-listen-address=fd00::4", "--redirect-backend=None" }, NULL },
	{ { MANAGED, "--nmi-listen-address=::ffff:10.0.0.4" }, NULL }, /* that is IPv4 */
	{ { MANAGED, "--nmi-listen-address=fe80::1", "--redirect-backend=none" },
	  "'fe80::1' is link-local" },
	{ { MANAGED, "--http-probe-port=9090" }, "--http-probe-port: 9090 is also --prometheus" },
	{ { MANAGED, "--http-probe-port=2579" }, "--http-probe-port: 2579 is also --nmi-port's" },
	{ { MANAGED, "--prometheus-port=2579" }, "--prometheus-port: 2579 is also --nmi-port's" },
	{ { MANAGED, "--http-probe-port=0", "--prometheus-port=0" }, NULL },
	{ { MANAGED, "--ipt-update-interval-sec=0" }, "--ipt-update-interval-sec must not be 0" },
	{ { MANAGED, "--pod-wait=10" }, "--pod-wait: duration '10' needs a unit" },
	{ { MANAGED, "--pod-wait=0s" }, NULL },
	{ { MANAGED, "--pod-wait=1h", "--token-wait=60m" }, NULL },
	{ { MANAGED, "--pod-wait=3601s" }, "--pod-wait: more than an hour" },
	{ { MANAGED, "--pod-wait=2000h" }, "--pod-wait: duration '2000h' is too large" },
	{ { MANAGED, "--token-wait=61m" }, "--token-wait: more than an hour" },
	{ { MANAGED, "--token-wait=0s" }, "--token-wait must not be 0" },
	{ { "--node=" }, "--node is required" },
	{ { "--node=aks-nodepool1-12345678-vmss00000a.internal" }, NULL },
	{ { "--node=Node" }, "--node: 'Node' is not the name of a node" },
	{ { "--node=n,spec.nodeName=m" }, "--node: 'n,spec.nodeName=m' is not the name" },
	{ { "--node=n\n" }, "is not the name of a node" },
	{ { MANAGED, "--startup-taint=nmi.azure.com/not-ready" }, NULL },
	{ { MANAGED, "--startup-taint=wait_For.nmi-1" }, NULL },
	{ { MANAGED, "--startup-taint=x/y=true:NoSchedule" },
	  "'x/y=true:NoSchedule' is not the key" },
	{ { MANAGED, "--startup-taint=x/y/z" }, "--startup-taint: 'x/y/z' is not the key" },
	{ { MANAGED, "--startup-taint=/y" }, "--startup-taint: '/y'" },
	{ { MANAGED, "--startup-taint=x/" }, "--startup-taint: 'x/'" },
	{ { MANAGED, "--startup-taint=X/y" }, "--startup-taint: 'X/y'" },
	{ { MANAGED, "--startup-taint=-y" }, "--startup-taint: '-y'" },
	{ { MANAGED, "--startup-taint=y." }, "--startup-taint: 'y.'" },
	{ { MANAGED, "--startup-taint=a\"b" }, "--startup-taint: 'a\"b'" },
	{ { MANAGED,
	    "--startup-taint=a1234567890123456789012345678901234567890123456789012345678901x" },
	  NULL },
	{ { MANAGED,
	    "--startup-taint=a1234567890123456789012345678901234567890123456789012345678901xx" },
	  "is not the key of a taint" },
	{ { MANAGED, "--custom-user-agent=chart/4.1 (x)" }, NULL },
	{ { MANAGED, "--custom-user-agent=a\r\nX-Own: 1" }, "--custom-user-agent: only printable" },
	{ { MANAGED, "--custom-user-agent=caf\xc3\xa9" }, "--custom-user-agent: only printable" },
	{ { MANAGED, "--http-probe-port=-1" }, "--http-probe-port: '-1'" },
	{ { MANAGED, "--prometheus-port=1e3" }, "--prometheus-port: '1e3'" },
	{ { MANAGED, "--host-token=yes" }, "--host-token: 'yes' is not one of root|any|off" },
	{ { MANAGED, "--block-instance-metadata=2" }, "--block-instance-metadata: '2'" },
	{ { MANAGED, "--v=a" }, "--v: 'a'" },
	{ { MANAGED, "--redirect-backend=ebpf" }, "--redirect-backend: 'ebpf' is not one of" },
	{ { MANAGED, "--log-format=xml" }, "--log-format: 'xml' is not one of text|json" },
	{ { MANAGED, "--no-such-flag" }, "--no-such-flag: no such setting" },
	{ { MANAGED, "stray" }, "stray: no such setting" },
	{ { MANAGED, "--metadata-header-required=maybe" }, "neither true nor false" },
	/* as the old chart and manifests write it */
	{ { MANAGED, "-v=4", "--logtostderr", "--enableScaleFeatures=true", "--forceNamespaced",
	    "--set-retry-after-header=false", "--kubelet-config=/etc/default/kubelet" },
	  NULL },
};

START_TEST(a_command_line_is_accepted_or_refused_by_name)
{
	struct nmi_config c = { 0 };
	struct err err = { 0 };
	enum opt_result what;
	int r = configure(lines[_i].args, &c, &what, &err);

	ck_assert_msg((r < 0) == (lines[_i].says != NULL), "%d: %s", r, err.msg);
	if (lines[_i].says)
		ck_assert_msg(strstr(err.msg, lines[_i].says), "said: %s", err.msg);
}
END_TEST

START_TEST(defaults_are_the_old_agents)
{
	const char *const args[] = { MANAGED, NULL };
	struct nmi_config c = { 0 };
	struct err err = { 0 };
	enum opt_result what;

	ck_assert_int_eq(configure(args, &c, &what, &err), 0);
	ck_assert_int_eq(what, OPT_RUN);
	ck_assert_uint_eq(c.port, 2579);
	ck_assert_uint_eq(c.probe_port, 8080);
	ck_assert_uint_eq(c.prometheus_port, 9090);
	ck_assert_uint_eq(c.metadata_port, 80);
	ck_assert_str_eq(c.metadata_ip, "169.254.169.254");
	ck_assert(c.metadata_header_required);
	ck_assert(!c.block_instance_metadata);
	ck_assert(c.delete_conntrack);
	ck_assert_uint_eq(c.sweep_sec, 60);
	ck_assert(nmi_config_is_managed(&c));
}
END_TEST

START_TEST(standard_mode_waits_as_long_as_the_old_agent)
{
	const char *const args[] = { "--node=n", NULL };
	struct nmi_config c = { 0 };
	struct err err = { 0 };
	enum opt_result what;

	ck_assert_int_eq(configure(args, &c, &what, &err), 0);
	ck_assert(!nmi_config_is_managed(&c));
	ck_assert_uint_eq(nmi_config_named_wait_msec(&c), 80000);
	ck_assert_uint_eq(nmi_config_assigned_wait_msec(&c), 100000);
	ck_assert_str_eq(c.mic_namespace, "default");
	ck_assert_str_eq(c.mic_service_account,
			 "aad-pod-id-mic-service-account, aad-pod-identity-mic");
	ck_assert(!c.force_namespaced);
}
END_TEST

START_TEST(service_accounts_count_only_where_that_is_asked_for)
{
	const char *const args[] = { MANAGED, NULL };
	const char *const asked[] = { MANAGED, "--workload-identity", NULL };
	struct nmi_config c = { 0 };
	struct err err = { 0 };
	enum opt_result what;

	ck_assert_int_eq(configure(args, &c, &what, &err), 0);
	ck_assert(!c.workload_identity);
	ck_assert_int_eq(configure(asked, &c, &what, &err), 0);
	ck_assert(c.workload_identity);
}
END_TEST

START_TEST(verbosity_is_read_as_the_chart_writes_it)
{
	static const char *const forms[][3] = {
		{ "-v=5", NULL, NULL },
		{ "-v5", NULL, NULL },
		{ "-v", "5", NULL },
		{ "--v=5" },
	};
	struct nmi_config c = { 0 };
	struct err err = { 0 };
	enum opt_result what;
	const char *args[] = { MANAGED, forms[_i][0], forms[_i][1], NULL };

	ck_assert_int_eq(configure(args, &c, &what, &err), 0);
	ck_assert_uint_eq(c.verbosity, 5);
}
END_TEST

START_TEST(what_is_switched_off_is_off_in_any_case_of_the_word)
{
	static const char *const on[] = { MANAGED, NULL };
	static const char *const off[] = { MANAGED, "--redirect-backend=None", "--link-binding=OFF",
					   NULL };
	struct nmi_config c = { 0 };
	struct err err = { 0 };
	enum opt_result what;

	ck_assert_int_eq(configure(on, &c, &what, &err), 0);
	ck_assert(nmi_config_has_rules(&c) && nmi_config_binds_links(&c));
	ck_assert_int_eq(configure(off, &c, &what, &err), 0);
	ck_assert(!nmi_config_has_rules(&c) && !nmi_config_binds_links(&c));
}
END_TEST

UNIT_MAIN("config", UNIT_LOOP(a_command_line_is_accepted_or_refused_by_name, lines),
	  UNIT(defaults_are_the_old_agents), UNIT(standard_mode_waits_as_long_as_the_old_agent),
	  UNIT(service_accounts_count_only_where_that_is_asked_for),
	  { verbosity_is_read_as_the_chart_writes_it, 4 },
	  UNIT(what_is_switched_off_is_off_in_any_case_of_the_word))
