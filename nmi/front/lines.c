/* SPDX-License-Identifier: MIT */

/* The lines of a request's headers: see lines.h. */

#include "nmi/front/lines.h"

#include "nmi/front/head.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

static enum MHD_Result on_header(void *cls, enum MHD_ValueKind kind, const char *name,
				 size_t name_n, const char *value, size_t value_n)
{
	(void)kind;
	head_add(cls, (struct str){ name, name_n }, (struct str){ value ? value : "", value_n });
	return MHD_YES;
}

/*
 * The library cuts a value at a NUL, and the rest of its line is read by nobody: it stands between what the
 * library shows. It also takes a lone LF or CR for the end of a line. The block of headers begins with the method and
 * is read in place, with a NUL for each byte of a line's end: two, if it is a good one (libmicrohttpd 0.9; 1.0
 * refuses all that by itself).
 */
struct lines {
	struct head *head;
	const char *at, *end; /* the end of what was seen; of the block */
	bool hides, is_torn;
};

/* How many NULs there are. */
static unsigned look_between(struct lines *l, const char *to)
{
	unsigned nuls = 0;

	if ((uintptr_t)to < (uintptr_t)l->at || (uintptr_t)to > (uintptr_t)l->end)
		return 0; /* a copy: of a folded line, which is refused for itself */
	for (const char *p = l->at; p < to; p++) {
		/* a NUL: the library made it of one of them, or of the colon */
		l->hides |= *p && *p != '\r' && *p != '\n' && *p != ' ' && *p != '\t';
		nuls += !*p;
	}
	return nuls;
}

static enum MHD_Result on_line(void *cls, enum MHD_ValueKind kind, const char *name, size_t name_n,
			       const char *value, size_t value_n)
{
	struct lines *l = cls;

	l->is_torn |= look_between(l, name) != 2;
	l->at = name + name_n;
	if (value) {
		(void)look_between(l, value);
		l->at = value + value_n;
	}
	return on_header(l->head, kind, name, name_n, value, value_n);
}

const char *lines_read(struct MHD_Connection *mhd, const char *method, const char *version,
		       struct head *head)
{
	const union MHD_ConnectionInfo *i =
		MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
	struct lines l = { .head = head,
			   .at = version + strlen(version),
			   .end = method + (i ? i->header_size : 0) };

	(void)MHD_get_connection_values_n(mhd, MHD_HEADER_KIND, on_line, &l);
	l.is_torn |= look_between(&l, l.end) != 4; /* the last line's end, and an empty line */
	if (l.hides)
		return "a header has a NUL byte, or is folded over two lines";
	return l.is_torn ? "a line does not end with CR LF, or a header has a NUL byte" : NULL;
}

void lines_read_trailers(struct MHD_Connection *mhd, struct head *head)
{
	(void)MHD_get_connection_values_n(mhd, MHD_FOOTER_KIND, on_header, head);
}
