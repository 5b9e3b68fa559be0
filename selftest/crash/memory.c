//  memory.c - stands before malloc () and its kin for lib/, actors/ and LMDB
//
//  SPDX-License-Identifier: MPL-2.0
//
//  The program is linked with --wrap for them, so that its own objects, libzspool's among them,
//  call the functions here; ZeroMQ, CZMQ and the C library do not. LMDB is a shared library: the
//  entries of its table of foreign functions are changed. Both work under the sanitizers too, whose
//  malloc () is behind.

#include "crash/memory.h"
#include "crash/fault.h"

#include <errno.h>
#include <link.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

void *__real_malloc (size_t size);
void *__real_calloc (size_t count, size_t size);
void *__real_realloc (void *memory, size_t size);
char *__real_strdup (const char *text);
void *__wrap_malloc (size_t size);
void *__wrap_calloc (size_t count, size_t size);
void *__wrap_realloc (void *memory, size_t size);
char *__wrap_strdup (const char *text);

static bool
s_fails (void)
{
    if (!fault_count (FAULT_MEMORY))
        return false;
    errno = ENOMEM;
    return true;
}

void *
__wrap_malloc (size_t size)
{
    return s_fails ()? NULL: __real_malloc (size);
}

void *
__wrap_calloc (size_t count, size_t size)
{
    return s_fails ()? NULL: __real_calloc (count, size);
}

void *
__wrap_realloc (void *memory, size_t size)
{
    return s_fails ()? NULL: __real_realloc (memory, size);
}

char *
__wrap_strdup (const char *text)
{
    return s_fails ()? NULL: __real_strdup (text);
}

//  What of LMDB's is changed
static const struct {
    const char *name;
    void (*function) (void);
} s_wrapped [] = {
    { "malloc", (void (*) (void)) __wrap_malloc },
    { "calloc", (void (*) (void)) __wrap_calloc },
    { "realloc", (void (*) (void)) __wrap_realloc },
    { "strdup", (void (*) (void)) __wrap_strdup },
};

//  What a loaded library says of its foreign functions
typedef struct {
    const char *names;
    const ElfW(Sym) *symbols;
    const ElfW(Rela) *relocations [2]; //  of functions called, and of addresses taken
    size_t bytes [2];
} s_dynamic_t;

static void
s_read_dynamic (const ElfW(Dyn) *entry, s_dynamic_t *dynamic)
{
    for (; entry->d_tag != DT_NULL; entry++) {
        const void *address = (const void *) entry->d_un.d_ptr;
        switch (entry->d_tag) {
        case DT_STRTAB: dynamic->names = (const char *) address; break;
        case DT_SYMTAB: dynamic->symbols = (const ElfW(Sym) *) address; break;
        case DT_JMPREL: dynamic->relocations [0] = (const ElfW(Rela) *) address; break;
        case DT_PLTRELSZ: dynamic->bytes [0] = entry->d_un.d_val; break;
        case DT_RELA: dynamic->relocations [1] = (const ElfW(Rela) *) address; break;
        case DT_RELASZ: dynamic->bytes [1] = entry->d_un.d_val; break;
        default: break;
        }
    }
}

//  Change one entry of the table, which is read-only since the program started.
static int
s_change (void **entry, const char *name)
{
    uintptr_t page = (uintptr_t) entry / (size_t) getpagesize () * (size_t) getpagesize ();
    for (size_t index = 0; index < sizeof s_wrapped / sizeof s_wrapped [0]; index++) {
        if (strcmp (name, s_wrapped [index].name) != 0)
            continue;
        if (mprotect ((void *) page, (size_t) getpagesize () * 2, PROT_READ | PROT_WRITE))
            return 0;
        memcpy (entry, &s_wrapped [index].function, sizeof *entry);
        return 1;
    }
    return 0;
}

static int
s_look_at_library (struct dl_phdr_info *info, size_t size, void *arg)
{
    (void) size;
    int *changed = (int *) arg;
    if (!strstr (info->dlpi_name, "liblmdb"))
        return 0;
    s_dynamic_t dynamic = { NULL, NULL, { NULL, NULL }, { 0, 0 } };
    for (int index = 0; index < info->dlpi_phnum; index++)
        if (info->dlpi_phdr [index].p_type == PT_DYNAMIC)
            s_read_dynamic ((const ElfW(Dyn) *) (info->dlpi_addr + info->dlpi_phdr [index].p_vaddr),
                            &dynamic);
    for (int kind = 0; kind < 2; kind++)
        for (size_t at = 0; at < dynamic.bytes [kind] / sizeof (ElfW(Rela)); at++) {
            const ElfW(Rela) *relocation = &dynamic.relocations [kind] [at];
            const ElfW(Sym) *symbol = &dynamic.symbols [ELF64_R_SYM (relocation->r_info)];
            if (ELF64_R_SYM (relocation->r_info))
                *changed += s_change ((void **) (info->dlpi_addr + relocation->r_offset),
                                      dynamic.names + symbol->st_name);
        }
    return 1;
}

int
memory_watch_lmdb (void)
{
    int changed = 0;
    dl_iterate_phdr (s_look_at_library, &changed);
    return changed;
}
