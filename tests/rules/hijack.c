/* SPDX-License-Identifier: MIT */

/*
 * What an intruder tries, from inside: for LD_PRELOAD before the agent as it is shipped. On signal 40 the
 * process that gets it, nmi or its redirector, makes each attempt for real and says on stderr what
 * came of it, "hijack: NAME ERRNO"; OK is one that worked. Then it goes on with its work.
 *
 * NMI_HIJACK_OTHER is the pid of a process of the same user that has nothing to do with nmi; NMI_HIJACK_FILE a
 * file that belongs to that user, which is not changed if all is well.
 */

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/if_packet.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#define SIGNAL 40

/* NOLINTBEGIN(bugprone-signal-handler): that an intruder interrupts the process is what is tried; it waits then. */

static pid_t other;    /* of the same user */
static pid_t relative; /* nmi's redirector, the redirector's nmi */
static const char *file, *runtime;

static void say(const char *name, const char *of, long result)
{
	char line[160];
	int n = snprintf(line, sizeof(line), "hijack: %s%s %s\n", name, of,
			 result == -1 ? strerrorname_np(errno) : "OK");

	(void)!write(STDERR_FILENO, line, (size_t)n);
}

#define TRY(name, call)		 (errno = 0, say(name, "", (long)(call)))
#define TRY_ON(name, whom, call) (errno = 0, say(name, whom, (long)(call)))

static int open_of(pid_t pid, const char *name, int flags)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	return open(path, flags | O_CLOEXEC);
}

static long join(pid_t pid, const char *name)
{
	int fd = open_of(pid, name, O_RDONLY);

	return fd < 0 ? -1 : setns(fd, 0);
}

/* By a socket that it may have: what the kernel answers. */
static long ask_netlink(int protocol, int type)
{
	struct {
		struct nlmsghdr h;
		struct ifinfomsg i;
	} ask = { { sizeof(ask), (uint16_t)type, NLM_F_REQUEST | NLM_F_ACK, 1, 0 },
		  { .ifi_index = 1, .ifi_change = IFF_UP } };
	struct {
		struct nlmsghdr h;
		struct nlmsgerr e;
		char rest[256];
	} answer;
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);

	if (fd < 0 || send(fd, &ask, sizeof(ask), 0) < 0 ||
	    recv(fd, &answer, sizeof(answer), 0) < 0)
		return -1;
	close(fd);
	errno = -answer.e.error;
	return errno ? -1 : 0;
}

/* As iptables-legacy loads its rules. */
static long replace_rules(void)
{
	char blob[512] = "nat";
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	long r = fd < 0 ? -1 : setsockopt(fd, IPPROTO_IP, 64, blob, sizeof(blob));

	if (fd >= 0)
		close(fd);
	return r;
}

static long set_link(void)
{
	struct ifreq link = { .ifr_name = "lo" };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	/* the redirector has a socket already */
	return ioctl(fd < 0 ? 5 : fd, SIOCSIFFLAGS, &link);
}

static long speak_to_runtime(void)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)snprintf(to.sun_path, sizeof(to.sun_path), "%s", runtime);
	return fd < 0 ? -1 : connect(fd, (struct sockaddr *)&to, sizeof(to));
}

static long get_capability(void)
{
	struct __user_cap_header_struct h = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct d[2] = { { .effective = 1U << CAP_NET_RAW,
						 .permitted = 1U << CAP_NET_RAW } };

	return syscall(SYS_capset, &h, d);
}

static long vm(long call, pid_t pid)
{
	char byte = 0;
	struct iovec here = { &byte, 1 }, there = { &file, 1 };

	return syscall(call, pid, &here, 1, &there, 1, 0);
}

static void try_process(pid_t pid, const char *who)
{
	union {
		long number;
		void *address;
	} none = { 0 };

	TRY_ON("ptrace-", who, ptrace(PTRACE_SEIZE, pid, none.address, none.address));
	TRY_ON("attach-", who, ptrace(PTRACE_ATTACH, pid, none.address, none.address));
	TRY_ON("vm-read-", who, vm(SYS_process_vm_readv, pid));
	TRY_ON("vm-write-", who, vm(SYS_process_vm_writev, pid));
	TRY_ON("mem-read-", who, open_of(pid, "mem", O_RDONLY));
	TRY_ON("mem-write-", who, open_of(pid, "mem", O_RDWR));
	TRY_ON("environ-", who, open_of(pid, "environ", O_RDONLY));
	TRY_ON("files-", who, open_of(pid, "fd/0", O_RDONLY));
	TRY_ON("file-", who, syscall(SYS_pidfd_getfd, syscall(SYS_pidfd_open, pid, 0), 0, 0));
	TRY_ON("netns-", who, join(pid, "ns/net"));
	TRY_ON("mntns-", who, join(pid, "ns/mnt"));
	TRY_ON("root-", who, open_of(pid, "root/etc/passwd", O_RDONLY));
	TRY_ON("kill-", who, kill(pid, SIGKILL));
	TRY_ON("tgkill-", who, syscall(SYS_tgkill, pid, pid, SIGKILL));
	TRY_ON("queue-", who, sigqueue(pid, SIGKILL, (union sigval){ 0 }));
	TRY_ON("sigio-", who, fcntl(STDERR_FILENO, F_SETOWN, pid));
}

static void try_network(void)
{
	TRY("raw", socket(AF_INET, SOCK_RAW, IPPROTO_TCP));
	TRY("raw6", socket(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6));
	TRY("packet", socket(AF_PACKET, SOCK_RAW, htons(3)));
	TRY("netfilter", socket(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER));
	TRY("xfrm", socket(AF_NETLINK, SOCK_RAW, NETLINK_XFRM));
	TRY("set-link-netlink", ask_netlink(NETLINK_ROUTE, RTM_NEWLINK));
	TRY("set-link-ioctl", set_link());
	TRY("iptables-sockopt", replace_rules());
	TRY("tcp", socket(AF_INET, SOCK_STREAM, 0));
	TRY("udp", socket(AF_INET, SOCK_DGRAM, 0));
	TRY("vsock", socket(AF_VSOCK, SOCK_STREAM, 0));
	TRY("alg", socket(AF_ALG, SOCK_SEQPACKET, 0));
	TRY("runtime", speak_to_runtime());
}

static void try_files(void)
{
	static const char with[] = ".nmi-hijack";
	char beside[256];

	(void)snprintf(beside, sizeof(beside), "%s%s", file, with);
	TRY("read", open(file, O_RDONLY | O_CLOEXEC));
	TRY("write", open(file, O_WRONLY | O_CLOEXEC));
	TRY("truncate-open", open(file, O_RDONLY | O_TRUNC | O_CLOEXEC));
	TRY("truncate", truncate(file, 0));
	TRY("create", open(beside, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	TRY("rename", rename(file, beside));
	TRY("unlink", unlink(file));
	TRY("link", link(file, beside));
	TRY("symlink", symlink("/etc/shadow", beside));
	TRY("mkdir", mkdir(beside, 0700));
	TRY("mknod", mknod(beside, S_IFCHR | 0600, 0x0101));
	TRY("chown", chown(file, 1, 1));
	TRY("chmod", chmod(file, 0666));
	TRY("setuid-file", chmod(file, 04755));
	TRY("fchmodat2", syscall(452, AT_FDCWD, file, 0666, 0));
}

static void try_kernel(void)
{
	char *const argv[] = { (char *)(uintptr_t) "iptables", NULL };
	void *page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	TRY("exec", execv("/usr/sbin/iptables", argv));
	TRY("fork", fork());
	TRY("clone3", syscall(SYS_clone3, NULL, 0));
	TRY("unshare-user", unshare(CLONE_NEWUSER | CLONE_NEWNET));
	TRY("unshare-net", unshare(CLONE_NEWNET));
	TRY("setns", setns(0, CLONE_NEWNET));
	TRY("mount", mount("none", "/mnt", "tmpfs", 0, NULL));
	TRY("pivot-root", syscall(SYS_pivot_root, "/", "/"));
	TRY("chroot", chroot("/"));
	TRY("setuid", setuid(0));
	TRY("setgroups", syscall(SYS_setgroups, 0, NULL));
	TRY("capset", get_capability());
	TRY("ambient", prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_NET_RAW, 0, 0));
	TRY("bpf", syscall(SYS_bpf, 0, NULL, 0));
	TRY("perf", syscall(SYS_perf_event_open, NULL, 0, -1, -1, 0));
	TRY("io-uring", syscall(SYS_io_uring_setup, 1, NULL));
	TRY("userfaultfd", syscall(SYS_userfaultfd, 0));
	TRY("module", syscall(SYS_init_module, NULL, 0, ""));
	TRY("kexec", syscall(SYS_kexec_load, 0, 0, NULL, 0));
	TRY("keyctl", syscall(SYS_keyctl, 0, -3, 1));
	TRY("clock", clock_settime(CLOCK_REALTIME, &(struct timespec){ 0 }));
	TRY("hostname", sethostname("nmi", 3));
	TRY("personality", syscall(SYS_personality, 0x0400000));
	TRY("code", mprotect(page, 4096, PROT_READ | PROT_EXEC));
}

static pid_t find_relative(void)
{
	char line[64] = "";
	int fd = open("/proc/thread-self/children", O_RDONLY | O_CLOEXEC);

	/* the redirector may not look, and has no children */
	if (fd < 0 || read(fd, line, sizeof(line) - 1) <= 0)
		return getppid();
	close(fd);
	return (pid_t)strtol(line, NULL, 10);
}

static void on_signal(int signo)
{
	int before = errno;

	relative = find_relative();
	try_network();
	try_process(relative, "relative");
	try_process(other, "other");
	TRY("netns-init", join(1, "ns/net"));
	try_files();
	try_kernel();
	TRY("relative-lives", open_of(relative, "stat", O_RDONLY));
	(void)!write(STDERR_FILENO, "hijack: end OK\n", 15);
	errno = before;
}

static __attribute__((constructor)) void start(void)
{
	const char *pid = getenv("NMI_HIJACK_OTHER");

	file = getenv("NMI_HIJACK_FILE");
	runtime = getenv("NMI_HIJACK_RUNTIME");
	if (pid && file && runtime && signal(SIGNAL, on_signal) != SIG_ERR)
		other = (pid_t)strtol(pid, NULL, 10);
}

/* NOLINTEND(bugprone-signal-handler) */
