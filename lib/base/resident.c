/* SPDX-License-Identifier: MIT */

/*
 * Pages given back to the kernel: see resident.h.
 *
 * Theory of operation. A page of a file that was touched once stays in the process's page table, with the fifteen
 * around it that the kernel maps along, until memory is short on the whole node: the loader's relocations, the
 * tables that OpenSSL builds its own from, what reads settings. MADV_DONTNEED takes them out of the page table. The
 * page cache has them still, so taking one up again is no read from a disk; but nothing holds them there, and the
 * kernel, or a container that comes close to its limit, may have them for something else.
 *
 * Only segments that nobody could ever write, or the advice would undo what was written: those of a PT_LOAD without
 * PF_W, in an object without relocations in its text. (What the loader protects after relocation, RELRO, is part
 * of a writable one.) A breakpoint of a debugger or a uprobe in such a page goes with it.
 */

#include "lib/base/resident.h"

#include <elf.h>
#include <link.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

/* A linker makes three that are not written; of further ones no harm comes. */
#define SEGMENTS_MAX 8

static bool is_written_by_loader(const struct dl_phdr_info *info, const ElfW(Phdr) * dynamic)
{
	/* NOLINTNEXTLINE(performance-no-int-to-ptr): where the loader has put it */
	const ElfW(Dyn) *d = (const ElfW(Dyn) *)(info->dlpi_addr + dynamic->p_vaddr);

	for (; d->d_tag != DT_NULL; d++) {
		if (d->d_tag == DT_TEXTREL || (d->d_tag == DT_FLAGS && d->d_un.d_val & DF_TEXTREL))
			return true;
	}
	return false;
}

static int release_object(struct dl_phdr_info *info, size_t size, void *ctx)
{
	const uintptr_t page = *(const uintptr_t *)ctx;
	uintptr_t from[SEGMENTS_MAX], to[SEGMENTS_MAX];
	size_t n = 0;

	(void)size;
	for (size_t i = 0; i < info->dlpi_phnum && n < SEGMENTS_MAX; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];
		uintptr_t start = info->dlpi_addr + p->p_vaddr;

		if (p->p_type == PT_DYNAMIC && is_written_by_loader(info, p))
			return 0;
		if (p->p_type != PT_LOAD || p->p_flags & PF_W)
			continue;
		from[n] = start & ~(page - 1);
		to[n++] = (start + p->p_memsz + page - 1) & ~(page - 1);
	}
	/* only now: the headers are in one of them, and looking there would have it back */
	for (size_t i = 0; i < n; i++) {
		/* NOLINTNEXTLINE(performance-no-int-to-ptr): segments are told so; the kernel's own (vDSO) refuses */
		(void)madvise((void *)from[i], to[i] - from[i], MADV_DONTNEED);
	}
	return 0;
}

void resident_release(void)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);

	(void)malloc_trim(0); /* it had nothing to give, or it did */
	(void)dl_iterate_phdr(release_object, &page);
}
