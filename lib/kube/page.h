/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/err.h"
#include "lib/base/str.h"

#include <stddef.h>

/*
 * One page of a list, cut into its items without building a tree of it: a tree of 250 pods takes ten
 * times the page's size. Pure. Only the outline is checked here; an item is checked by whoever parses it.
 */
struct page {
	char *version;	  /* of the list */
	char *more;	  /* the continue token; NULL on the last page */
	struct str items; /* what is left, between the brackets; points into the text */
};

/* On failure (ERR_INPUT) the output is left alone. The text must outlive the page. */
int page_parse(struct page *out, const char *p, size_t n, struct err *err);
/* 1: an item; 0: there is none left; -ERR_INPUT. */
int page_next(struct page *page, struct str *out_item, struct err *err);
void page_deinit(struct page *page);
