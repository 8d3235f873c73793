/* SPDX-License-Identifier: MIT */

#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/metric.h"
#include "lib/loop/loop.h"
#include "nmi/metrics.h"
#include "nmi/reload.h"
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define BASE	    "node: n\n"
#define SETTLE_MSEC 100

/* A reload of a file in a directory of its own, on a fake clock, whose log is read back. */
struct rig {
	char dir[40], path[64], flag[80];
	char *argv[4];
	struct nmi_settings settings;
	struct loop *loop;
	struct metrics *metrics;
	struct reload *reload;
	unsigned applied;
	int log;
};

static void on_apply(void *ctx)
{
	struct rig *g = ctx;

	g->applied++;
}

static void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

static void setup_bare(struct rig *g, const char *text, const char *arg)
{
	enum opt_result what;
	struct err err = { 0 };

	clearenv();
	*g = (struct rig){ .dir = "/tmp/test-reload.XXXXXX",
			   .argv = { (char *)(uintptr_t) "nmi", g->flag, (char *)(uintptr_t)arg } };
	ck_assert_ptr_nonnull(mkdtemp(g->dir));
	snprintf(g->path, sizeof(g->path), "%s/nmi.yaml", g->dir);
	snprintf(g->flag, sizeof(g->flag), "--config=%s", g->path);
	if (text)
		put(g->path, text);
	g->settings = (struct nmi_settings){ .argc = arg ? 3 : 2, .argv = g->argv };
	g->loop = loop_new_fake(NULL);
	g->metrics = metrics_new(nmi_metric_descs, NMI_METRICS, 16);
	g->log = memfd_create("log", MFD_CLOEXEC);
	log_set_fd(g->log);
	if (text)
		ck_assert_msg(nmi_settings_load(&g->settings, &what, &err) == 0, "%s", err.msg);
}

static void begin(struct rig *g)
{
	g->reload = reload_new(g->loop, &(struct reload_spec){ .settings = &g->settings,
							       .apply = on_apply,
							       .ctx = g,
							       .metrics = g->metrics });
}

static void setup(struct rig *g, const char *text)
{
	setup_bare(g, text, NULL);
	begin(g);
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
	return remove(path);
}

static void remove_all(const char *dir)
{
	(void)nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void teardown(struct rig *g)
{
	g->reload = reload_free(g->reload);
	g->metrics = metrics_free(g->metrics);
	g->loop = loop_free(g->loop);
	nmi_settings_deinit(&g->settings);
	log_set_fd(STDERR_FILENO);
	close(g->log);
	remove_all(g->dir);
}

/* What was logged since the last time. */
static const char *logged(struct rig *g)
{
	static char text[16384];
	ssize_t n = pread(g->log, text, sizeof(text) - 1, 0);

	ck_assert_int_ge(n, 0);
	text[n] = '\0';
	ck_assert_int_eq(ftruncate(g->log, 0), 0);
	(void)lseek(g->log, 0, SEEK_SET);
	return text;
}

/* Events that are there are read, and time passes. */
static void pass(struct rig *g, unsigned msec)
{
	(void)loop_turn(g->loop, 0, NULL);
	(void)loop_turn(g->loop, 0, NULL);
	loop_fake_advance(g->loop, msec);
}

static double counted(const struct rig *g, const char *result)
{
	return metric_get(g->metrics, NMI_METRIC_CONFIG_RELOADS, &result);
}

/* each setting */

/* Some other valid value than the default; what is not here is made from the type. */
static const struct {
	const char *name, *value;
} others[] = {
	{ "node", "m" },
	{ "nmi-listen-address", "10.0.0.4" },
	{ "metadata-ip", "10.0.0.5" },
	{ "startup-taint", "nmi.azure.com/not-ready" },
	{ "find-identity-retry-interval", "7" },
};

static const char *other_value(const struct opt *o)
{
	static char word[64];

	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		if (strcmp(others[i].name, o->name) == 0)
			return others[i].value;
	switch (o->type) {
	case OPT_BOOL:
		return strcmp(o->dflt, "true") == 0 ? "false" : "true";
	case OPT_U16:
		return "12345";
	case OPT_UINT:
	case OPT_SEC:
		return "9";
	case OPT_MSEC:
		return "1234ms";
	case OPT_CHOICE:
		snprintf(word, sizeof(word), "%s", strrchr(o->metavar, '|') + 1);
		if (strcmp(word, o->dflt) == 0)
			snprintf(word, sizeof(word), "%.*s", (int)strcspn(o->metavar, "|"),
				 o->metavar);
		return word;
	case OPT_STR:
	case OPT_IGNORED:
		return "other";
	}
	return NULL;
}

/* A row that is new is one of both, and if it can be neither, this test fails. */
START_TEST(each_setting_changes_at_once_or_is_said_to_need_a_restart)
{
	const struct opt *o = &nmi_options.opts[_i];
	struct nmi_config before;
	char text[200], change[100];
	const char *log;
	struct rig g;

	if (!opt_file_takes(o))
		return;
	setup(&g, BASE);
	before = g.settings.config;
	snprintf(text, sizeof(text), "%s%s: %s\n", strcmp(o->name, "node") == 0 ? "" : BASE,
		 o->name, other_value(o));
	put(g.path, text);
	reload_now(g.reload, "test");
	log = logged(&g);
	snprintf(change, sizeof(change), ": %s ", o->name);
	if (nmi_config_is_live(o)) {
		ck_assert_msg(!opt_is_same(o, &before, &g.settings.config), "%s: %s", o->name, log);
		ck_assert_uint_eq(g.applied, 1);
		ck_assert_ptr_null(reload_waiting(g.reload));
		ck_assert_msg(strstr(log, "settings changed"), "%s", log);
		ck_assert(counted(&g, "changed") > 0);
	} else {
		ck_assert_msg(opt_is_same(o, &before, &g.settings.config), "%s: %s", o->name, log);
		ck_assert_uint_eq(g.applied, 0);
		ck_assert_ptr_nonnull(reload_waiting(g.reload));
		ck_assert_str_eq(reload_waiting(g.reload), o->name);
		ck_assert_msg(strstr(log, "wait for a restart"), "%s", log);
		ck_assert(counted(&g, "unchanged") > 0);
	}
	ck_assert_msg(strstr(log, change) && strstr(log, " -> "), "%s", log);
	/* nothing else moved */
	for (size_t i = 0; i < NMI_OPTIONS; i++)
		ck_assert(i == (size_t)_i ||
			  opt_is_same(&nmi_options.opts[i], &before, &g.settings.config));
	/* and back */
	put(g.path, BASE);
	reload_now(g.reload, "test");
	ck_assert_ptr_null(reload_waiting(g.reload));
	ck_assert(opt_is_same(o, &before, &g.settings.config));
	teardown(&g);
}
END_TEST

/* reading again */

START_TEST(a_mistake_changes_nothing_and_is_told)
{
	struct rig g;

	setup(&g, BASE "pod-wait: 1s\n");
	put(g.path, "node: n\nblock-instance-metadata: true\npod-wait: 5\n");
	reload_now(g.reload, "SIGHUP");
	ck_assert(!g.settings.config.block_instance_metadata);
	ck_assert_uint_eq(g.settings.config.pod_wait_msec, 1000);
	ck_assert_uint_eq(g.applied, 0);
	ck_assert_ptr_nonnull(
		strstr(logged(&g), "nmi.yaml:3: pod-wait: duration '5' needs a unit"));
	ck_assert(counted(&g, "failed") > 0);
	unlink(g.path);
	reload_now(g.reload, "SIGHUP");
	ck_assert_uint_eq(g.settings.config.pod_wait_msec, 1000);
	ck_assert_ptr_nonnull(strstr(logged(&g), "all settings stay as they are: settings file"));
	put(g.path, BASE "pod-wait: 2s\n");
	reload_now(g.reload, "SIGHUP");
	ck_assert_uint_eq(g.settings.config.pod_wait_msec, 2000);
	teardown(&g);
}
END_TEST

START_TEST(what_is_stronger_than_the_file_stays_and_is_named)
{
	struct rig g;
	const char *log;

	setup_bare(&g, BASE, "--pod-wait=1s");
	begin(&g);
	put(g.path, BASE "pod-wait: 9s\n");
	reload_now(g.reload, "SIGHUP");
	ck_assert_uint_eq(g.settings.config.pod_wait_msec, 1000);
	log = logged(&g);
	ck_assert_msg(strstr(log, "nothing to change") &&
			      strstr(log, "stronger_elsewhere=pod-wait"),
		      "%s", log);
	teardown(&g);
}
END_TEST

START_TEST(without_a_file_there_is_nothing_to_read)
{
	struct rig g;
	enum opt_result what;

	setup_bare(&g, NULL, NULL);
	g.argv[1] = (char *)(uintptr_t) "--node=n";
	ck_assert_int_eq(nmi_settings_load(&g.settings, &what, NULL), 0);
	begin(&g);
	reload_check(g.reload);
	reload_now(g.reload, "SIGHUP");
	ck_assert_ptr_nonnull(strstr(logged(&g), "SIGHUP: there is no settings file (--config)"));
	ck_assert_uint_eq(g.applied, 0);
	teardown(&g);
}
END_TEST

START_TEST(what_waits_for_a_restart_is_told_once_and_taken_back)
{
	struct rig g;

	setup(&g, BASE);
	put(g.path, BASE "nmi-port: 99\nself-test: off\n");
	reload_now(g.reload, "SIGHUP");
	ck_assert_str_eq(reload_waiting(g.reload), "nmi-port, self-test");
	ck_assert_ptr_nonnull(
		strstr(logged(&g), "wait for a restart: nmi-port 2579 -> 99, self-test"));
	reload_now(g.reload, "SIGHUP");
	ck_assert_ptr_null(strstr(logged(&g), "wait for"));
	put(g.path, BASE "nmi-port: 98\nself-test: off\n");
	reload_now(g.reload, "SIGHUP");
	ck_assert_ptr_nonnull(strstr(logged(&g), "nmi-port 2579 -> 98"));
	put(g.path, BASE);
	reload_now(g.reload, "SIGHUP");
	ck_assert_ptr_null(reload_waiting(g.reload));
	ck_assert_ptr_nonnull(strstr(logged(&g), "no setting waits for a restart any more"));
	teardown(&g);
}
END_TEST

START_TEST(host_tokens_that_were_off_at_the_start_need_a_restart)
{
	struct rig g;

	setup(&g, BASE "host-token: off\n");
	put(g.path, BASE "host-token: root\n");
	reload_now(g.reload, "SIGHUP");
	ck_assert_str_eq(g.settings.config.host_token, "off");
	ck_assert_str_eq(reload_waiting(g.reload), "host-token");
	teardown(&g);
	setup(&g, BASE);
	put(g.path, BASE "host-token: off\n");
	reload_now(g.reload, "SIGHUP");
	ck_assert_str_eq(g.settings.config.host_token, "off");
	put(g.path, BASE);
	reload_now(g.reload, "SIGHUP");
	ck_assert_str_eq(g.settings.config.host_token, "root");
	teardown(&g);
}
END_TEST

/* seeing that the file changed */

START_TEST(a_file_renamed_into_place_is_read_once_a_moment_later)
{
	struct rig g;
	char other[80];

	setup(&g, BASE);
	snprintf(other, sizeof(other), "%s/new", g.dir);
	put(other, BASE "v: 1\n");
	pass(&g, SETTLE_MSEC * 2);
	ck_assert_str_eq(logged(&g), ""); /* another file is none of ours */
	for (unsigned i = 2; i < 6; i++) {
		char text[32];

		snprintf(text, sizeof(text), BASE "v: %u\n", i);
		put(other, text);
		ck_assert_int_eq(rename(other, g.path), 0);
		pass(&g, SETTLE_MSEC / 2);
	}
	ck_assert_uint_eq(g.settings.config.verbosity, 0);
	pass(&g, SETTLE_MSEC);
	ck_assert_uint_eq(g.settings.config.verbosity, 5);
	ck_assert_uint_eq(g.applied, 1);
	teardown(&g);
}
END_TEST

START_TEST(a_file_written_in_place_is_read_when_it_is_closed)
{
	struct rig g;
	int fd;

	setup(&g, BASE "block-instance-metadata: true\n");
	fd = open(g.path, O_WRONLY | O_TRUNC | O_CLOEXEC);
	pass(&g, 10 * SETTLE_MSEC);
	ck_assert_int_eq(write(fd, BASE, strlen(BASE)), (ssize_t)strlen(BASE));
	pass(&g, 10 * SETTLE_MSEC);
	ck_assert_int_eq(fchmod(fd, 0640), 0);
	pass(&g, 10 * SETTLE_MSEC);
	ck_assert(g.settings.config.block_instance_metadata); /* half of it is a valid file */
	dprintf(fd, "block-instance-metadata: true\nv: 3\n");
	close(fd);
	pass(&g, SETTLE_MSEC);
	ck_assert(g.settings.config.block_instance_metadata);
	ck_assert_uint_eq(g.settings.config.verbosity, 3);
	ck_assert_uint_eq(g.applied, 1);
	teardown(&g);
}
END_TEST

struct late_writer {
	struct loop_timer timer;
	const char *path;
	int fd;
};

static void write_half(struct loop_timer *t)
{
	struct late_writer *w = container_of(t, struct late_writer, timer);

	w->fd = open(w->path, O_WRONLY | O_TRUNC | O_CLOEXEC);
	ck_assert_int_eq(write(w->fd, BASE, strlen(BASE)), (ssize_t)strlen(BASE));
}

/* In the moment when it is to be read, so that the events of it have not been seen. */
START_TEST(a_file_that_is_written_again_meanwhile_is_not_read_by_halves)
{
	static const char rest[] = "pod-wait: 3s\n";
	struct late_writer w = { .path = NULL };
	struct rig g;

	setup(&g, BASE "pod-wait: 2s\n");
	put(g.path, BASE "pod-wait: 3s\n");
	w.path = g.path;
	loop_timer_set_msec(g.loop, &w.timer, SETTLE_MSEC, write_half);
	pass(&g, SETTLE_MSEC);
	ck_assert_int_gt(w.fd, 0);
	ck_assert_uint_eq(g.applied, 0);
	ck_assert_str_eq(logged(&g), "");
	ck_assert_int_eq(write(w.fd, rest, strlen(rest)), (ssize_t)strlen(rest));
	close(w.fd);
	pass(&g, SETTLE_MSEC);
	ck_assert_uint_eq(g.applied, 1);
	ck_assert_uint_eq(g.settings.config.pod_wait_msec, 3000);
	teardown(&g);
}
END_TEST

START_TEST(a_mode_that_is_put_right_makes_the_file_read)
{
	struct rig g;

	setup(&g, BASE);
	put(g.path, BASE "v: 1\n");
	ck_assert_int_eq(chmod(g.path, 0606), 0);
	pass(&g, SETTLE_MSEC);
	ck_assert_ptr_nonnull(strstr(logged(&g), "anybody may write it"));
	ck_assert_int_eq(chmod(g.path, 0600), 0);
	pass(&g, SETTLE_MSEC);
	ck_assert_uint_eq(g.settings.config.verbosity, 1);
	teardown(&g);
}
END_TEST

/* As kubelet writes a volume: a directory of this version, and a link to it that is swapped. */
static void write_volume(struct rig *g, const char *version, const char *text)
{
	char dir[80], file[100], link[80], data[80];

	snprintf(dir, sizeof(dir), "%s/..%s", g->dir, version);
	snprintf(file, sizeof(file), "%s/nmi.yaml", dir);
	snprintf(link, sizeof(link), "%s/..data_tmp", g->dir);
	snprintf(data, sizeof(data), "%s/..data", g->dir);
	ck_assert_int_eq(mkdir(dir, 0755), 0);
	put(file, text);
	ck_assert_int_eq(symlink(strrchr(dir, '/') + 1, link), 0);
	ck_assert_int_eq(rename(link, data), 0);
}

START_TEST(a_config_map_volume_is_read_when_its_link_is_swapped)
{
	enum opt_result what;
	struct rig g;

	setup_bare(&g, NULL, NULL);
	write_volume(&g, "1", BASE);
	ck_assert_int_eq(symlink("..data/nmi.yaml", g.path), 0);
	ck_assert_int_eq(nmi_settings_load(&g.settings, &what, NULL), 0);
	begin(&g);
	write_volume(&g, "2", BASE "pod-wait: 2s\n");
	pass(&g, SETTLE_MSEC);
	ck_assert_uint_eq(g.settings.config.pod_wait_msec, 2000);
	write_volume(&g, "3", BASE "pod-wait: 3s\n");
	pass(&g, SETTLE_MSEC);
	ck_assert_uint_eq(g.settings.config.pod_wait_msec, 3000);
	ck_assert_uint_eq(g.applied, 2);
	teardown(&g);
}
END_TEST

START_TEST(a_change_between_the_first_reading_and_the_watch_is_not_lost)
{
	struct rig g;

	setup_bare(&g, BASE, NULL);
	begin(&g);
	reload_check(g.reload);
	ck_assert_str_eq(logged(&g), ""); /* the rule */
	g.reload = reload_free(g.reload);
	put(g.path, BASE "v: 2\n");
	begin(&g);
	pass(&g, 2 * SETTLE_MSEC);
	ck_assert_uint_eq(g.settings.config.verbosity, 0);
	reload_check(g.reload);
	ck_assert_uint_eq(g.settings.config.verbosity, 2);
	ck_assert_ptr_nonnull(strstr(logged(&g), "because=\"it changed during the start\""));
	teardown(&g);
}
END_TEST

START_TEST(a_link_that_is_made_anew_is_followed)
{
	struct rig g;
	char other[80];

	setup(&g, BASE);
	snprintf(other, sizeof(other), "%s/other", g.dir);
	put(other, BASE "v: 2\n");
	unlink(g.path);
	ck_assert_int_eq(symlink("other", g.path), 0);
	pass(&g, SETTLE_MSEC);
	ck_assert_uint_eq(g.settings.config.verbosity, 2);
	teardown(&g);
}
END_TEST

START_TEST(a_directory_that_is_gone_is_told_and_found_again)
{
	struct rig g;

	setup(&g, BASE);
	remove_all(g.dir);
	pass(&g, SETTLE_MSEC);
	pass(&g, SETTLE_MSEC);
	ck_assert_ptr_nonnull(strstr(logged(&g), "the directory of the settings file is gone"));
	ck_assert_int_eq(mkdir(g.dir, 0700), 0);
	put(g.path, BASE "v: 2\n");
	pass(&g, SETTLE_MSEC);
	ck_assert_uint_eq(g.settings.config.verbosity, 0);
	reload_now(g.reload, "SIGHUP");
	ck_assert_uint_eq(g.settings.config.verbosity, 2);
	put(g.path, BASE "v: 3\n");
	pass(&g, SETTLE_MSEC);
	ck_assert_uint_eq(g.settings.config.verbosity, 3);
	teardown(&g);
}
END_TEST

UNIT_MAIN("reload", { each_setting_changes_at_once_or_is_said_to_need_a_restart, NMI_OPTIONS },
	  UNIT(a_mistake_changes_nothing_and_is_told),
	  UNIT(what_is_stronger_than_the_file_stays_and_is_named),
	  UNIT(without_a_file_there_is_nothing_to_read),
	  UNIT(what_waits_for_a_restart_is_told_once_and_taken_back),
	  UNIT(host_tokens_that_were_off_at_the_start_need_a_restart),
	  UNIT(a_file_renamed_into_place_is_read_once_a_moment_later),
	  UNIT(a_file_written_in_place_is_read_when_it_is_closed),
	  UNIT(a_file_that_is_written_again_meanwhile_is_not_read_by_halves),
	  UNIT(a_mode_that_is_put_right_makes_the_file_read),
	  UNIT(a_config_map_volume_is_read_when_its_link_is_swapped),
	  UNIT(a_change_between_the_first_reading_and_the_watch_is_not_lost),
	  UNIT(a_link_that_is_made_anew_is_followed),
	  UNIT(a_directory_that_is_gone_is_told_and_found_again))
