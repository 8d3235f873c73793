/* SPDX-License-Identifier: MIT */

/* Responses: a reference count and a status around libmicrohttpd's object. See server.h. */

#include "nmi/front/response.h"

#include "lib/base/mem.h"
#include "nmi/front/server.h"

#include <assert.h>
#include <microhttpd.h>

/* Called by libmicrohttpd when the last connection has sent the body, which may be after our unref. */
static void on_sent(void *cls)
{
	struct response *r = cls;

	if (r->free_body)
		r->free_body(r->body, r->body_len);
	else
		free(r->body);
	free(r);
}

struct response *response_new(const struct response_spec *spec)
{
	struct response *r = xnew(struct response);
	enum MHD_Result ok = MHD_YES;

	r->refs = 1;
	r->status = spec->status;
	r->body = spec->body;
	r->body_len = spec->body_len;
	r->free_body = spec->free_body;
	r->mhd = MHD_create_response_from_buffer_with_free_callback_cls(r->body_len, r->body,
									on_sent, r);
	assert(r->mhd); /* NULL only when memory runs out */
	for (size_t i = 0; i < RESPONSE_HEADERS_MAX; i++) {
		const struct response_header *h = &spec->headers[i];

		/* what it refuses is a value with a line end: the header is left out then */
		if (h->name && h->value && *h->value)
			ok = MHD_add_response_header(r->mhd, h->name, h->value);
	}
	if (spec->close)
		ok = MHD_add_response_header(r->mhd, MHD_HTTP_HEADER_CONNECTION, "close");
	(void)ok; /* see above */
	return r;
}

unsigned response_status(const struct response *r)
{
	return r->status;
}

void response_set_date(struct response *r, struct wall now)
{
	char date[WALL_HTTP_MAX];

	/* it fails for an empty value, and then the library goes on as before */
	if (!r->is_dated)
		(void)MHD_add_response_header(r->mhd, MHD_HTTP_HEADER_DATE,
					      wall_print_http(now, date));
	r->is_dated = true;
}

struct response *response_ref(struct response *r)
{
	r->refs++;
	return r;
}

struct response *response_unref(struct response *r)
{
	/* r itself goes in on_sent(), which this calls unless a connection still sends */
	if (r && --r->refs == 0)
		MHD_destroy_response(r->mhd);
	return NULL;
}
