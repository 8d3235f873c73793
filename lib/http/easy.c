/* SPDX-License-Identifier: MIT */

/*
 * One request in libcurl's terms: every option that we set, and the callbacks by which the answer
 * arrives. What is not set here is libcurl's default, and these matter: no cookies, no redirects, no
 * credentials from ~/.netrc, HTTP/0.9 refused.
 */

#include "lib/base/cleanup.h"
#include "lib/base/mem.h"
#include "lib/http/client_internal.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#define BODY_MAX_DEFAULT     ((size_t)1 << 20)
#define CONNECT_MSEC_DEFAULT 5000

/* setopt is a variadic macro; its failures (out of memory, an option not built in) are collected. */
#define SET(call, bad, opt, value) ((bad) |= curl_easy_setopt((call)->easy, opt, value) != CURLE_OK)

/* the answer */

/* libcurl gives each header line, trailers too; a blank line ends the head, also that of a 1xx. */
/* NOLINTNEXTLINE(readability-non-const-parameter): the type is libcurl's */
static size_t on_header(char *p, size_t size, size_t n, void *ctx)
{
	struct http_call *call = ctx;
	long status = 0;

	if (call->state == CALL_CANCELLED)
		return 0;
	if (call->status || n == 0 || (p[0] != '\r' && p[0] != '\n'))
		return size * n;
	(void)curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
	if (status < 200)
		return size * n;
	call->status = status;
	if (call->on_status)
		call->on_status(call->ctx, status);
	return call->state == CALL_CANCELLED ? 0 : size * n;
}

static size_t on_body(char *p, size_t size, size_t n, void *ctx)
{
	struct http_call *call = ctx;

	n *= size;
	if (call->state == CALL_CANCELLED)
		return 0;
	if (call->on_data && call->status >= 200 && call->status < 300) {
		if (call->on_data(call->ctx, p, n) && call->state != CALL_CANCELLED)
			(void)err_set(&call->err, ERR_CANCELLED, "%s: ended by the receiver",
				      call->origin);
		return call->state == CALL_CANCELLED || call->err.kind ? 0 : n;
	}
	if (buf_append(&call->in, p, n, call->body_max, &call->err) < 0) {
		(void)err_wrap(&call->err, "%s: the answer's body", call->origin);
		return 0;
	}
	return n;
}

/*
 * A peer that vanished without a FIN is only noticed if something is sent: keep-alive probes while
 * the connection is quiet, and the user timeout, which also counts unanswered probes. Alone neither
 * is enough: the kernel's default of nine probes takes half a minute, and the user timeout needs
 * something in flight. libcurl 7.88 has no option for the count of probes.
 */
static void set_keepalive(int fd, unsigned msec)
{
	int on = 1, count = 3, every = (int)(msec / 1000 * 3 / 5);

	if (every < 1)
		every = 1;
	/* a socket that refuses one of these still works, it only notices later */
	(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &every, sizeof(every));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &every, sizeof(every));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof(count));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &msec, sizeof(msec));
}

/* libcurl 7.88 opens sockets without close-on-exec, and we have children. */
static curl_socket_t on_open(void *ctx, curlsocktype purpose, struct curl_sockaddr *sa)
{
	const struct http_client *c = ctx;
	int fd = socket(sa->family, sa->socktype | SOCK_CLOEXEC, sa->protocol);

	(void)purpose; /* there is but one: a connection */
	if (fd < 0)
		return CURL_SOCKET_BAD;
	if (c->dead_peer_msec)
		set_keepalive(fd, c->dead_peer_msec);
	return fd;
}

/* the request */

static int add_header(struct http_call *call, const char *text, struct err *err)
{
	_cleanup_free_ char *empty = NULL;
	const char *colon = strchr(text, ':');
	size_t name = colon ? (size_t)(colon - text) : 0;
	struct curl_slist *more;

	if (!name || strpbrk(text, "\r\n"))
		return err_set(err, ERR_INPUT, "malformed header in a request to %s", call->origin);
	/* to libcurl "Name:" means "do not send it", and "Name;" "send it empty" */
	if (colon[1 + strspn(colon + 1, " \t")] == '\0') {
		empty = xasprintf("%.*s;", (int)name, text);
		text = empty;
	}
	more = curl_slist_append(call->headers, text);
	if (!more)
		return err_set(err, ERR_OS, "out of memory for a header");
	call->headers = more;
	return 0;
}

/* Take out a header that libcurl would add by itself. */
static int drop_header(struct http_call *call, const char *name_colon, struct err *err)
{
	struct curl_slist *more = curl_slist_append(call->headers, name_colon);

	if (!more)
		return err_set(err, ERR_OS, "out of memory for a header");
	call->headers = more;
	return 0;
}

static bool has_header(const struct http_request *req, const char *name)
{
	size_t n = strlen(name);

	for (size_t i = 0; req->headers && req->headers[i]; i++) {
		if (strncasecmp(req->headers[i], name, n) == 0 && req->headers[i][n] == ':')
			return true;
	}
	return false;
}

static int set_headers(struct http_call *call, const struct http_request *req, bool has_body,
		       struct err *err)
{
	bool bad = false;
	int r = 0;

	for (size_t i = 0; r == 0 && req->headers && req->headers[i]; i++)
		r = add_header(call, req->headers[i], err);
	/* a body over 1 KB would wait a second for a "100 Continue" that servers like IMDS never send */
	if (r == 0)
		r = drop_header(call, "Expect:", err);
	/* libcurl calls every body a form */
	if (r == 0 && has_body && !has_header(req, "Content-Type"))
		r = drop_header(call, "Content-Type:", err);
	if (r < 0)
		return r;
	SET(call, bad, CURLOPT_HTTPHEADER, call->headers);
	return bad ? err_set(err, ERR_OS, "libcurl refused the headers") : 0;
}

static int set_method(struct http_call *call, const struct http_request *req, struct err *err)
{
	const char *method = req->method ? req->method : "GET";
	bool has_body = req->body || strcmp(method, "POST") == 0 || strcmp(method, "PUT") == 0 ||
			strcmp(method, "PATCH") == 0;
	bool bad = false;

	if (has_body) {
		/* ours, not libcurl's copy, so that it can be wiped */
		call->body = xmemdup(req->body ? req->body : "", req->body_len);
		call->body_len = req->body_len;
		SET(call, bad, CURLOPT_POST, 1L);
		SET(call, bad, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)req->body_len);
		SET(call, bad, CURLOPT_POSTFIELDS, call->body);
	} else if (strcmp(method, "HEAD") == 0) {
		SET(call, bad, CURLOPT_NOBODY, 1L);
	}
	if (method[strspn(method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ-")] || !*method)
		return err_set(err, ERR_INPUT, "not an HTTP method in a request to %s",
			       call->origin);
	if (strcmp(method, "GET") != 0 || has_body)
		SET(call, bad, CURLOPT_CUSTOMREQUEST, method);
	if (bad)
		return err_set(err, ERR_OS, "libcurl refused the method");
	return set_headers(call, req, has_body, err);
}

static bool set_blob(struct http_call *call, CURLoption opt, char *text)
{
	/* the pool that owns the text outlives the request */
	struct curl_blob blob = { text, strlen(text), CURL_BLOB_NOCOPY };

	return curl_easy_setopt(call->easy, opt, &blob) != CURLE_OK;
}

static int set_tls(struct http_call *call, struct err *err)
{
	struct tls_copy *t = &call->pool->tls;
	bool bad = false;

	SET(call, bad, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	SET(call, bad, CURLOPT_SSL_VERIFYPEER, t->insecure ? 0L : 1L);
	SET(call, bad, CURLOPT_SSL_VERIFYHOST, t->insecure ? 0L : 2L);
	if (t->ca_data) {
		bad |= set_blob(call, CURLOPT_CAINFO_BLOB, t->ca_data);
		SET(call, bad, CURLOPT_CAPATH, NULL);
	} else if (t->ca_file) {
		SET(call, bad, CURLOPT_CAINFO, t->ca_file);
		SET(call, bad, CURLOPT_CAPATH, NULL);
		/* by default a CA file is kept for a day, and a rotated one would not be seen */
		SET(call, bad, CURLOPT_CA_CACHE_TIMEOUT, 0L);
	}
	if (t->cert_data)
		bad |= set_blob(call, CURLOPT_SSLCERT_BLOB, t->cert_data);
	else if (t->cert_file)
		SET(call, bad, CURLOPT_SSLCERT, t->cert_file);
	if (t->key_data)
		bad |= set_blob(call, CURLOPT_SSLKEY_BLOB, t->key_data);
	else if (t->key_file)
		SET(call, bad, CURLOPT_SSLKEY, t->key_file);
	return bad ? err_set(err, ERR_OS, "libcurl refused a TLS setting") : 0;
}

static void curl_freep(char **p)
{
	curl_free(*p);
}

static void url_freep(CURLU **u)
{
	curl_url_cleanup(*u);
}

/*
 * To verify and ask for another name than the URL's: give libcurl a URL with that name, connect to
 * the real host all the same, and keep the real one in Host.
 */
static int set_renamed_url(struct http_call *call, const struct http_request *req, CURLU *url,
			   const char *host, const char *port, struct err *err)
{
	const char *name = call->pool->tls.server_name;
	_cleanup_free_ char *to = xasprintf("%s:%s:%s:%s", name, port, host, port);
	_cleanup_free_ char *header = xasprintf("Host: %s:%s", host, port);
	_cleanup_(curl_freep) char *whole = NULL;
	bool bad = false;

	if (curl_url_set(url, CURLUPART_HOST, name, 0) != CURLUE_OK ||
	    curl_url_get(url, CURLUPART_URL, &whole, 0) != CURLUE_OK)
		return err_set(err, ERR_INPUT, "TLS server name: not a host name");
	call->connect_to = curl_slist_append(NULL, to);
	SET(call, bad, CURLOPT_CONNECT_TO, call->connect_to);
	SET(call, bad, CURLOPT_URL, whole);
	if (bad || !call->connect_to)
		return err_set(err, ERR_OS, "libcurl refused the address to connect to");
	return has_header(req, "Host") ? 0 : add_header(call, header, err);
}

static int set_url(struct http_call *call, const struct http_request *req, bool *out_tls,
		   struct err *err)
{
	_cleanup_(url_freep) CURLU *url = curl_url();
	_cleanup_(curl_freep) char *scheme = NULL, *host = NULL, *port = NULL;
	CURLUcode why = CURLUE_OUT_OF_MEMORY;
	bool bad = false;

	if (url)
		why = curl_url_set(url, CURLUPART_URL, req->url, CURLU_PATH_AS_IS);
	if (why == CURLUE_OK)
		why = curl_url_get(url, CURLUPART_SCHEME, &scheme, 0);
	if (why == CURLUE_OK)
		why = curl_url_get(url, CURLUPART_HOST, &host, 0);
	if (why == CURLUE_OK)
		why = curl_url_get(url, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT);
	if (why != CURLUE_OK)
		return err_set(err, ERR_INPUT, "URL: %s", curl_url_strerror(why));
	if (strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0)
		return err_set(err, ERR_INPUT, "URL: only http and https are spoken, not %.32s",
			       scheme);
	*out_tls = strcmp(scheme, "https") == 0;
	call->origin = xasprintf("%s://%s:%s", scheme, host, port);
	if (*out_tls && call->pool->tls.server_name)
		return set_renamed_url(call, req, url, host, port, err);
	SET(call, bad, CURLOPT_URL, req->url);
	return bad ? err_set(err, ERR_OS, "libcurl refused the URL") : 0;
}

static int set_transport(struct http_call *call, const struct http_request *req, bool tls,
			 struct err *err)
{
	const struct http_client *c = call->client;
	bool http2 = c->http2 && tls && !req->is_secret;
	long connect = req->connect_msec ? (long)req->connect_msec : CONNECT_MSEC_DEFAULT;
	bool bad = false;

	SET(call, bad, CURLOPT_NOSIGNAL, 1L);
	SET(call, bad, CURLOPT_PROTOCOLS_STR, "http,https");
	SET(call, bad, CURLOPT_FOLLOWLOCATION, 0L);
	SET(call, bad, CURLOPT_PROXY, "");
	SET(call, bad, CURLOPT_NOPROXY, "*");
	SET(call, bad, CURLOPT_PATH_AS_IS, 1L);
	SET(call, bad, CURLOPT_CONNECTTIMEOUT_MS, connect);
	SET(call, bad, CURLOPT_OPENSOCKETFUNCTION, on_open);
	SET(call, bad, CURLOPT_OPENSOCKETDATA, call->client);
	SET(call, bad, CURLOPT_HTTP_VERSION,
	    (long)(http2 ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_1_1));
	SET(call, bad, CURLOPT_FRESH_CONNECT, req->is_secret ? 1L : 0L);
	SET(call, bad, CURLOPT_FORBID_REUSE, req->is_secret ? 1L : 0L);
	/*
	 * Wait for the first connection to say whether it multiplexes, else each watch opens its own.
	 * In plain text that is known only with the first answer, and a watch may never give one.
	 */
	SET(call, bad, CURLOPT_PIPEWAIT, http2 ? 1L : 0L);
	if (c->user_agent)
		SET(call, bad, CURLOPT_USERAGENT, c->user_agent);
	if (c->local_address) {
		_cleanup_free_ char *host = xasprintf("host!%s", c->local_address);

		SET(call, bad, CURLOPT_INTERFACE, host);
	}
	return bad ? err_set(err, ERR_OS, "libcurl refused a setting") : 0;
}

static int set_callbacks(struct http_call *call, struct err *err)
{
	bool bad = false;

	SET(call, bad, CURLOPT_PRIVATE, call);
	SET(call, bad, CURLOPT_ERRORBUFFER, call->why);
	SET(call, bad, CURLOPT_HEADERFUNCTION, on_header);
	SET(call, bad, CURLOPT_HEADERDATA, call);
	SET(call, bad, CURLOPT_WRITEFUNCTION, on_body);
	SET(call, bad, CURLOPT_WRITEDATA, call);
	return bad ? err_set(err, ERR_OS, "libcurl refused a callback") : 0;
}

/* Fills what libcurl needs to know; call->client and call->pool are set. */
int easy_init(struct http_call *call, const struct http_request *req, struct err *err)
{
	bool tls = false;
	int r;

	call->easy = curl_easy_init();
	if (!call->easy)
		return err_set(err, ERR_OS, "libcurl: out of memory");
	call->in.wipe = true;
	call->body_max = req->body_max ? req->body_max : BODY_MAX_DEFAULT;
	r = set_url(call, req, &tls, err);
	if (r == 0)
		r = set_transport(call, req, tls, err);
	if (r == 0 && tls)
		r = set_tls(call, err);
	if (r == 0)
		r = set_method(call, req, err);
	if (r == 0)
		r = set_callbacks(call, err);
	return r;
}

/* Headers carry credentials and bodies carry assertions. */
void easy_deinit(struct http_call *call)
{
	if (call->easy)
		curl_easy_cleanup(call->easy);
	for (struct curl_slist *h = call->headers; h; h = h->next)
		explicit_bzero(h->data, strlen(h->data));
	curl_slist_free_all(call->headers);
	curl_slist_free_all(call->connect_to);
	if (call->body)
		explicit_bzero(call->body, call->body_len);
	free(call->body);
	buf_deinit(&call->in);
	free(call->origin);
}
