/* SPDX-License-Identifier: MIT */

#include "nmi/kubenet.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const struct {
	const char *text;
	int r;
} files[] = {
	{ "", 0 },
	{ "KUBELET_FLAGS=--network-plugin=cni --node-ip=10.0.0.4\n", 0 },
	{ "KUBELET_FLAGS=--v=2 --network-plugin=kubenet\n", -ERR_REFUSED },
};

START_TEST(kubenet_is_refused_and_nothing_else)
{
	char path[] = "/tmp/nmi-kubelet-XXXXXX";
	int fd = mkstemp(path);
	struct err err = { 0 };

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, files[_i].text, strlen(files[_i].text)),
			 (ssize_t)strlen(files[_i].text));
	close(fd);
	ck_assert_int_eq(kubenet_check(path, NULL, &err), files[_i].r);
	unlink(path);
	if (files[_i].r < 0)
		ck_assert_ptr_nonnull(strstr(err.msg, "--allow-network-plugin-kubenet"));
}
END_TEST

static int can(struct err *err)
{
	return 0;
}

static int cannot(struct err *err)
{
	return err_set(err, ERR_UNAVAILABLE, "no such kernel");
}

static const struct {
	int (*probe)(struct err *err);
	const char *why; /* NULL: nmi starts */
} probes[] = { { can, NULL }, { cannot, "(no such kernel)" }, { NULL, "(that is switched off)" } };

START_TEST(kubenet_is_fine_where_addresses_can_be_tied_to_ports)
{
	char path[] = "/tmp/nmi-kubelet-XXXXXX";
	int fd = mkstemp(path);
	struct err err = { 0 };

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, "--network-plugin=kubenet", 24), 24);
	close(fd);
	ck_assert_int_eq(kubenet_check(path, probes[_i].probe, &err),
			 probes[_i].why ? -ERR_REFUSED : 0);
	unlink(path);
	if (probes[_i].why)
		ck_assert_ptr_nonnull(strstr(err.msg, probes[_i].why));
}
END_TEST

/* Asking costs an nftables context; elsewhere it would also be told in the log. */
static int must_not_be_asked(struct err *err)
{
	ck_abort_msg("asked");
	return 0;
}

START_TEST(a_missing_file_or_a_directory_is_no_kubenet)
{
	ck_assert_int_eq(kubenet_check("/nonexistent/kubelet", must_not_be_asked, NULL), 0);
	ck_assert_int_eq(kubenet_check("/tmp", NULL, NULL), 0);
}
END_TEST

UNIT_MAIN("kubenet", UNIT_LOOP(kubenet_is_refused_and_nothing_else, files),
	  UNIT_LOOP(kubenet_is_fine_where_addresses_can_be_tied_to_ports, probes),
	  UNIT(a_missing_file_or_a_directory_is_no_kubenet))
