/* SPDX-License-Identifier: MIT */

#include "iptables/filter.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* LeakSanitizer looks for leaks from a traced clone, which is what the filter is there to refuse. */
int __lsan_is_turned_off(void);
__attribute__((visibility("default"))) int __lsan_is_turned_off(void)
{
	return 1;
}

#define REFUSED(call)                                                                              \
	do {                                                                                       \
		errno = 0;                                                                         \
		if ((long)(call) != -1 || errno != EPERM)                                          \
			leave(__LINE__);                                                           \
	} while (0)
#define WORKS(call)                                                                                \
	do {                                                                                       \
		if ((long)(call) == -1)                                                            \
			leave(__LINE__);                                                           \
	} while (0)

/*
 * Whoever is under the filter cannot say much, and check itself writes files: the line goes out as the exit
 * status.
 */
static _Noreturn void leave(int line)
{
	_exit(line % 256);
}

/* `fn` in a process of its own, under the filter. */
static int under(bool may_exec, void (*fn)(void))
{
	pid_t pid = fork();
	int status = -1;

	if (pid == 0) {
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
		    filter_redirector(may_exec, NULL) < 0)
			leave(255);
		fn();
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return status;
}

#define HOLDS(may_exec, fn)                                                                        \
	do {                                                                                       \
		int status_ = under(may_exec, fn);                                                 \
		ck_assert_msg(status_ == 0, "signal %d, or line %d + n * 256", WTERMSIG(status_),  \
			      WEXITSTATUS(status_));                                               \
	} while (0)

static void netfilter_alone(void)
{
	static const int families[] = { AF_UNIX, AF_INET,  AF_INET6, AF_PACKET,
					AF_KEY,	 AF_VSOCK, AF_ALG,   AF_XDP };
	struct ifreq link = { .ifr_name = "lo" };
	int fd;

	WORKS(fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER));
	for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++)
		for (int type = 1; type < 6; type++)
			REFUSED(socket(families[i], type, 0));
	for (int protocol = 0; protocol < 24; protocol++)
		if (protocol != NETLINK_NETFILTER && protocol != NETLINK_ROUTE)
			REFUSED(socket(AF_NETLINK, SOCK_RAW, protocol));
	REFUSED(syscall(SYS_socket, AF_NETLINK, SOCK_RAW, NETLINK_XFRM + (1L << 32)));
	/* links are configured by ioctl on any socket */
	REFUSED(ioctl(fd, SIOCGIFFLAGS, &link));
	REFUSED(ioctl(fd, SIOCSIFFLAGS, &link));
	REFUSED(connect(fd, NULL, 0));
	REFUSED(listen(fd, 1));
}

static void no_file(void)
{
	REFUSED(open("/dev/null", O_RDONLY | O_CLOEXEC));
	REFUSED(open("/proc/self/mem", O_RDWR | O_CLOEXEC));
	REFUSED(open("/tmp/nmi-none", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	REFUSED(syscall(SYS_openat2, AT_FDCWD, "/", NULL, 0));
	REFUSED(unlink("/nonexistent"));
	REFUSED(syscall(SYS_mkdirat, AT_FDCWD, "/nonexistent", 0));
	REFUSED(syscall(SYS_readlinkat, AT_FDCWD, "/proc/self/exe", NULL, 0));
	REFUSED(access("/", R_OK));
}

static void nobody_else(void)
{
	pid_t other = getppid();
	struct rlimit limit = { 1, 1 };

	REFUSED(syscall(SYS_execve, "/bin/true", NULL, NULL));
	REFUSED(syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL));
	REFUSED(syscall(SYS_clone3, NULL, 0));
	REFUSED(syscall(SYS_kill, other, 0));
	REFUSED(syscall(SYS_tgkill, other, other, 0));
	REFUSED(fcntl(STDERR_FILENO, F_SETOWN, other));
	REFUSED(fcntl(STDERR_FILENO, F_SETSIG, SIGKILL));
	REFUSED(syscall(SYS_ptrace, 0, 0, 0, 0));
	REFUSED(syscall(SYS_process_vm_readv, other, NULL, 0, NULL, 0, 0));
	REFUSED(syscall(SYS_pidfd_open, other, 0));
	REFUSED(prlimit(other, RLIMIT_NOFILE, &limit, NULL));
	REFUSED(unshare(CLONE_NEWNET));
	REFUSED(setns(0, 0));
	REFUSED(setuid(0));
	REFUSED(prctl(PR_SET_DUMPABLE, 1));
	REFUSED(syscall(SYS_bpf, 0, NULL, 0));
	REFUSED(syscall(SYS_io_uring_setup, 1, NULL));
	REFUSED(syscall(SYS_userfaultfd, 0));
	REFUSED(syscall(SYS_mount, NULL, NULL, NULL, 0, NULL));
}

static void memory_of_data(void)
{
	void *p;

	WORKS((intptr_t)(p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
				  -1, 0)));
	WORKS(mprotect(p, 4096, PROT_READ));
	REFUSED(mprotect(p, 4096, PROT_READ | PROT_EXEC));
	REFUSED((intptr_t)mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			       0));
	WORKS(munmap(p, 4096));
	WORKS(epoll_create1(EPOLL_CLOEXEC));
	WORKS(fcntl(STDERR_FILENO, F_GETFL));
}

static void another_program(void)
{
	pid_t pid;
	int status = -1;

	WORKS(pid = fork());
	if (pid == 0) {
		(void)execl("/bin/true", "true", (char *)NULL);
		_exit(1);
	}
	WORKS(waitpid(pid, &status, 0));
	if (status != 0)
		leave(__LINE__);
	/* as iptables-legacy does */
	WORKS(socket(AF_INET, SOCK_RAW, IPPROTO_RAW));
	REFUSED(syscall(SYS_ptrace, 0, 0, 0, 0));
	REFUSED(unshare(CLONE_NEWNET));
	REFUSED(syscall(SYS_clone, SIGCHLD | CLONE_NEWNS, NULL, NULL, NULL, NULL));
	REFUSED(setuid(0));
	REFUSED(syscall(SYS_bpf, 0, NULL, 0));
}

/* Once it is known that no other program is needed. */
static void another_program_no_more(void)
{
	another_program();
	if (filter_redirector(false, NULL) < 0)
		leave(__LINE__);
	netfilter_alone();
	no_file();
	nobody_else();
	memory_of_data();
}

static void aborts(void)
{
	abort();
}

START_TEST(of_sockets_only_those_of_netfilter)
{
	HOLDS(false, netfilter_alone);
}
END_TEST

START_TEST(no_file_is_opened)
{
	HOLDS(false, no_file);
}
END_TEST

START_TEST(no_other_process_and_nothing_of_the_kernel)
{
	HOLDS(false, nobody_else);
}
END_TEST

START_TEST(memory_is_for_data)
{
	HOLDS(false, memory_of_data);
}
END_TEST

START_TEST(an_assertion_that_fails_still_ends_it)
{
	ck_assert_int_eq(WTERMSIG(under(false, aborts)), SIGABRT);
}
END_TEST

START_TEST(another_program_can_be_let_run)
{
	HOLDS(true, another_program);
}
END_TEST

START_TEST(and_that_taken_back)
{
	HOLDS(true, another_program_no_more);
}
END_TEST

UNIT_MAIN("filter", UNIT(of_sockets_only_those_of_netfilter), UNIT(no_file_is_opened),
	  UNIT(no_other_process_and_nothing_of_the_kernel), UNIT(memory_is_for_data),
	  UNIT(an_assertion_that_fails_still_ends_it), UNIT(another_program_can_be_let_run),
	  UNIT(and_that_taken_back))
