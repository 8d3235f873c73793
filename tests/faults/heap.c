/* SPDX-License-Identifier: MIT */

/*
 * What is allocated, and since when, for LD_PRELOAD before the agent: left.py reads it out of the process. What is
 * resident says little about that: free pages stay until somebody gives them back.
 *
 * Theory of operation. Time is cut into epochs, by whoever reads. Behind each block stands in which it was
 * allocated, or was given another size; so what is still there of an epoch that is long over can be told from
 * what comes and goes. A block that was not allocated here has no such mark, and is not counted.
 */

#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define EPOCHS 256
#define MARK   UINT64_C(0x6865617065706f00) /* and the epoch in its last byte */

extern void *__libc_malloc(size_t n);
extern void *__libc_calloc(size_t n, size_t each);
extern void *__libc_realloc(void *p, size_t n);
extern void *__libc_memalign(size_t align, size_t n);
extern void __libc_free(void *p);

/* the linker is to find them, and those of malloc in place of the C library's */
#pragma GCC visibility push(default)

struct {
	uint64_t epoch;		/* written from outside */
	uint64_t bytes[EPOCHS]; /* of each: what is still there */
} nmi_heap;

/* The mark of a block, and how large the block is without it. */
static char *mark_of(void *p, size_t *size)
{
	static size_t (*fn)(void *);

	if (!fn)
		*(void **)&fn = dlsym(RTLD_NEXT, "malloc_usable_size");
	*size = fn(p) - sizeof(uint64_t);
	return (char *)p + *size;
}

static void add(uint64_t epoch, size_t bytes)
{
	/* threads allocate too; and it wraps as it should when they are taken off */
	(void)__atomic_fetch_add(&nmi_heap.bytes[epoch], bytes, __ATOMIC_RELAXED);
}

static void *begin(void *p)
{
	uint64_t epoch = *(volatile uint64_t *)&nmi_heap.epoch % EPOCHS, mark = MARK | epoch;
	size_t size;

	if (!p)
		return NULL;
	memcpy(mark_of(p, &size), &mark, sizeof(mark));
	add(epoch, size);
	return p;
}

static void end(void *p)
{
	uint64_t mark;
	size_t size;
	char *at;

	if (!p)
		return;
	at = mark_of(p, &size);
	memcpy(&mark, at, sizeof(mark));
	if (mark - mark % EPOCHS != MARK)
		return;
	memset(at, 0, sizeof(mark));
	add(mark % EPOCHS, -size);
}

void *malloc(size_t n)
{
	return begin(n > SIZE_MAX / 2 ? NULL : __libc_malloc(n + sizeof(uint64_t)));
}

void *calloc(size_t n, size_t each)
{
	size_t all;

	if (__builtin_mul_overflow(n, each, &all) || all > SIZE_MAX / 2) {
		errno = ENOMEM;
		return NULL;
	}
	return begin(__libc_calloc(1, all + sizeof(uint64_t)));
}

void *realloc(void *p, size_t n)
{
	void *other;
	size_t had;

	if (p && n == 0) { /* as glibc does */
		free(p);
		return NULL;
	}
	other = malloc(n);
	if (!p || !other)
		return other;
	(void)mark_of(p, &had);
	memcpy(other, p, had < n ? had : n);
	free(p);
	return other;
}

void *memalign(size_t align, size_t n)
{
	return begin(__libc_memalign(align, n + sizeof(uint64_t)));
}

void *aligned_alloc(size_t align, size_t n)
{
	return memalign(align, n);
}

int posix_memalign(void **p, size_t align, size_t n)
{
	void *got = memalign(align, n);

	if (got)
		*p = got;
	return got ? 0 : ENOMEM;
}

/* who wipes all of it is not to wipe the mark */
size_t malloc_usable_size(void *p)
{
	size_t size = 0;

	if (p)
		(void)mark_of(p, &size);
	return size;
}

void free(void *p)
{
	end(p);
	__libc_free(p);
}
#pragma GCC visibility pop
