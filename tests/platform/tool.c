/* SPDX-License-Identifier: MIT */

/*
 * The two ends of a connection, for the scripts beside this file: servers that say one word, clients
 * that tell what became of them.
 *
 *	tool serve ADDR PORT WORD	answer each line with "WORD PEER\n", for ever; "ready" once it listens
 *	tool get ADDR PORT [FROM]	one line: the word that came, refused, reset, timeout or error
 *	tool hold ADDR PORT		the same on one connection for each line of stdin
 *	tool hammer ADDR PORT		connect again and again until stdin ends, then the counts
 *	tool frame LINK TO-MAC FROM-IP ADDR PORT TAGS
 *					a TCP SYN as a frame, behind so many VLAN tags of number 0
 */

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/ether.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define TIMEOUT_MSEC 500L
#define SERVED_MAX   64

enum outcome { WORD, REFUSED, RESET, TIMEOUT, OTHER };
static const char *const outcome_name[] = { "word", "refused", "reset", "timeout", "error" };

static struct sockaddr_in address(const char *addr, const char *port)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
				  .sin_port = htons((uint16_t)strtoul(port, NULL, 10)) };

	if (inet_pton(AF_INET, addr, &in.sin_addr) != 1) {
		(void)fprintf(stderr, "bad address %s\n", addr);
		exit(2);
	}
	return in;
}

/* One of those who ask: false when it is done. */
static bool answer(int fd, const char *word)
{
	struct sockaddr_in peer = { 0 };
	socklen_t n = sizeof(peer);
	char line[256], text[INET_ADDRSTRLEN], out[300];
	int len;

	if (recv(fd, line, sizeof(line), MSG_DONTWAIT) <= 0)
		return false;
	(void)getpeername(fd, (struct sockaddr *)&peer, &n);
	inet_ntop(AF_INET, &peer.sin_addr, text, sizeof(text));
	len = snprintf(out, sizeof(out), "%s %s\n", word, text);
	return send(fd, out, (size_t)len, MSG_NOSIGNAL | MSG_DONTWAIT) == len;
}

/*
 * Many at a time: one whose end was lost, as when somebody flushes the rules in the midst of it, must not keep the
 * others waiting. The oldest goes where there are too many of these.
 */
static void serve_all(int listener, const char *word)
{
	struct pollfd p[SERVED_MAX + 1] = { { .fd = listener, .events = POLLIN } };
	nfds_t n = 1;

	while (poll(p, n, -1) > 0) {
		nfds_t kept = 1;

		for (nfds_t i = 1; i < n; i++) {
			if (!p[i].revents || answer(p[i].fd, word))
				p[kept++] = p[i];
			else
				close(p[i].fd);
		}
		n = kept;
		if (!p[0].revents)
			continue;
		if (n == SERVED_MAX + 1) {
			close(p[1].fd);
			memmove(&p[1], &p[2], (--n - 1) * sizeof(*p));
		}
		p[n] = (struct pollfd){ .fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC),
					.events = POLLIN };
		if (p[n].fd >= 0)
			n++;
	}
}

static int serve(const struct sockaddr_in *at, const char *word)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (const struct sockaddr *)at, sizeof(*at)) < 0 || listen(fd, 256) < 0) {
		perror("listen");
		return 1;
	}
	puts("ready");
	(void)fflush(stdout);
	serve_all(fd, word);
	return 1;
}

static enum outcome outcome_of(int error)
{
	if (error == ECONNREFUSED)
		return REFUSED;
	if (error == ECONNRESET || error == EPIPE)
		return RESET;
	return error == EAGAIN || error == EINPROGRESS || error == ETIMEDOUT ? TIMEOUT : OTHER;
}

static int open_connection(const struct sockaddr_in *to, const char *from, enum outcome *out)
{
	struct timeval wait = { .tv_usec = TIMEOUT_MSEC * 1000 };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	if (from) {
		struct sockaddr_in local = address(from, "0");

		if (bind(fd, (struct sockaddr *)&local, sizeof(local)) < 0)
			perror("bind");
	}
	if (connect(fd, (const struct sockaddr *)to, sizeof(*to)) == 0)
		return fd;
	*out = outcome_of(errno);
	close(fd);
	return -1;
}

static enum outcome ask(int fd, char *word, size_t size)
{
	ssize_t n;

	if (send(fd, "ask\n", 4, MSG_NOSIGNAL) < 0)
		return outcome_of(errno);
	n = recv(fd, word, size - 1, 0);
	if (n <= 0)
		return n == 0 ? RESET : outcome_of(errno);
	word[n] = '\0';
	word[strcspn(word, "\n")] = '\0';
	return WORD;
}

static enum outcome get(const struct sockaddr_in *to, const char *from, char *word, size_t size)
{
	enum outcome out = OTHER;
	int fd = open_connection(to, from, &out);

	if (fd < 0)
		return out;
	out = ask(fd, word, size);
	close(fd);
	return out;
}

static int hold(const struct sockaddr_in *to)
{
	enum outcome out = OTHER;
	int fd = open_connection(to, NULL, &out);
	char line[64], word[256];

	while (fgets(line, sizeof(line), stdin)) {
		if (fd >= 0)
			out = ask(fd, word, sizeof(word));
		puts(fd >= 0 && out == WORD ? word : outcome_name[out]);
		(void)fflush(stdout);
	}
	return 0;
}

static int hammer(const struct sockaddr_in *to)
{
	struct pollfd in = { .fd = STDIN_FILENO, .events = POLLIN };
	unsigned long agent = 0, imds = 0, not_served = 0;
	char word[256];

	while (poll(&in, 1, 0) == 0) {
		if (get(to, NULL, word, sizeof(word)) != WORD)
			not_served++;
		else if (strncmp(word, "agent ", 6) == 0)
			agent++;
		else
			imds++;
	}
	(void)printf("agent=%lu imds=%lu none=%lu\n", agent, imds, not_served);
	return 0;
}

static uint16_t checksum(const struct iphdr *ip)
{
	uint16_t words[sizeof(*ip) / 2];
	uint32_t sum = 0;

	memcpy(words, ip, sizeof(words));
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		sum += words[i];
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t) ~(sum + (sum >> 16));
}

static int send_frame(char **argv)
{
	const uint8_t tag[] = { 0x81, 0, 0, 0 };
	struct sockaddr_in from = address(argv[2], "40000"), to = address(argv[3], argv[4]);
	struct sockaddr_ll at = { .sll_family = AF_PACKET, .sll_halen = ETH_ALEN };
	struct iphdr ip = { .version = 4, .ihl = 5, .ttl = 64, .protocol = IPPROTO_TCP };
	struct tcphdr tcp = { .syn = 1, .doff = 5, .window = htons(1024) };
	uint8_t frame[256] = { 0 }, *end;
	const struct ether_addr *mac = ether_aton(argv[1]);
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);

	at.sll_ifindex = (int)if_nametoindex(argv[0]);
	if (!mac || fd < 0) {
		perror(argv[1]);
		return 1;
	}
	memcpy(frame, mac, ETH_ALEN);
	end = mempcpy(frame + ETH_ALEN, "\2\0\0\0\0\1", ETH_ALEN);
	for (long i = strtol(argv[5], NULL, 10); i > 0 && end < frame + 64; i--)
		end = mempcpy(end, tag, sizeof(tag));
	end = mempcpy(end, "\x08\0", 2);
	ip.tot_len = htons(sizeof(ip) + sizeof(tcp));
	ip.saddr = from.sin_addr.s_addr;
	ip.daddr = to.sin_addr.s_addr;
	ip.check = checksum(&ip);
	tcp.source = from.sin_port;
	tcp.dest = to.sin_port;
	end = mempcpy(mempcpy(end, &ip, sizeof(ip)), &tcp, sizeof(tcp));
	if (sendto(fd, frame, (size_t)(end - frame), 0, (const struct sockaddr *)&at, sizeof(at)) <
	    0)
		perror("frame");
	close(fd);
	return 0;
}

int main(int argc, char **argv)
{
	struct sockaddr_in at;
	char word[256];

	if (argc < 4) {
		(void)fprintf(stderr, "usage: tool serve|get|hold|hammer|frame ...: see tool.c\n");
		return 2;
	}
	if (strcmp(argv[1], "frame") == 0)
		return argc == 8 ? send_frame(argv + 2) : 2;
	at = address(argv[2], argv[3]);
	if (strcmp(argv[1], "serve") == 0 && argc == 5)
		return serve(&at, argv[4]);
	if (strcmp(argv[1], "hold") == 0)
		return hold(&at);
	if (strcmp(argv[1], "hammer") == 0)
		return hammer(&at);
	if (strcmp(argv[1], "get") == 0) {
		enum outcome out = get(&at, argc == 5 ? argv[4] : NULL, word, sizeof(word));

		puts(out == WORD ? word : outcome_name[out]);
		return 0;
	}
	return 2;
}
