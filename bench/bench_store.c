//  bench_store.c - makes stores to measure on: with many messages, or with scattered free space
//
//  SPDX-License-Identifier: MPL-2.0
//
//      bench_store fill [--size BYTES] [--count N] [--name SPOOL] DIRECTORY
//      bench_store fragment [--mib N] DIRECTORY
//
//  fill appends --count messages (default 1 million) of --size bytes (default 100), numbered as
//  bench_push numbers them, in blocks as a loaded device makes them, to the spool that a device
//  uses.
//
//  fragment makes what is worst for LMDB: --mib MiB (default 1024) of blocks of 5 KB, of four
//  spools in turn, so that they lie side by side in the file; then two of the spools are emptied.
//  Half of the file is free then, in runs of two pages.
//
//  Both go through the public API, with its durability. Prints one line of JSON. One thread.

#include "bench.h"
#include "zspool.h"

#define GROUP_BYTES (16 << 20)     //  of blocks committed at a time
#define SPOOLS 4                   //  of a fragmented store: the even ones are emptied
#define FRAGMENT_BYTES 5000        //  of one message, which is one block, which takes two pages
#define FRAGMENT_PAGES_BYTES 8192  //  what such a block takes in the file
#define TRIM_STEP 4096             //  messages removed in one commit
#define BLOCKS_MAX (GROUP_BYTES / FRAGMENT_PAGES_BYTES + SPOOLS)

typedef struct {
    size_t size;           //  of a message, bytes
    uint64_t count;        //  messages to append
    uint64_t mib;          //  of a fragmented store
    const char *name;      //  spool
    const char *directory; //  store
    bool fragment;         //  else fill
} options_t;

typedef struct {
    zspool_store_t *store;
    zspool_block_t *blocks [BLOCKS_MAX]; //  appended and not committed
    size_t blocks_count;
    size_t blocks_bytes;
    uint64_t number;                     //  of the last message
    char *body;                          //  of a message
    size_t size;                         //  its bytes
} self_t;

static options_t
s_options (int argc, char **argv)
{
    static const struct option names [] = {
        {"size", required_argument, NULL, 's'}, {"count", required_argument, NULL, 'c'},
        {"mib", required_argument, NULL, 'm'},  {"name", required_argument, NULL, 'n'},
        {NULL, 0, NULL, 0}};
    options_t options = {.size = 100, .count = 1000000, .mib = 1024, .name = "main"};
    int name;
    while ((name = getopt_long (argc, argv, "", names, NULL)) != -1) {
        switch (name) {
            case 's':
                options.size = bench_option ("size", optarg, BENCH_NUMBER_BYTES, BENCH_SIZE_MAX);
                break;
            case 'c':
                options.count = bench_option ("count", optarg, 1, 1e12);
                break;
            case 'm':
                options.mib = bench_option ("mib", optarg, 1, 1e6);
                break;
            case 'n':
                options.name = optarg;
                break;
            default:
                exit (2);
        }
    }
    if (argc - optind != 2)
        bench_fail (2, "fill or fragment, and a directory, are needed");
    options.fragment = strcmp (argv [optind], "fragment") == 0;
    if (!options.fragment && strcmp (argv [optind], "fill") != 0)
        bench_fail (2, "fill or fragment, not '%s'", argv [optind]);
    options.directory = argv [optind + 1];
    return options;
}

static void
s_check (self_t *self, int rc)
{
    if (rc == ZSPOOL_OK)
        return;
    const char *reason = zspool_store_reason (self->store);
    bench_fail (1, "%s", *reason ? reason : zspool_strerror (rc));
}

static uint32_t
s_spool (self_t *self, const char *name)
{
    uint32_t spool;
    s_check (self, zspool_store_begin (self->store));
    s_check (self, zspool_store_spool (self->store, name, &spool));
    s_check (self, zspool_store_commit (self->store));
    return spool;
}

//  Commit what was appended
static void
s_commit (self_t *self)
{
    if (self->blocks_count == 0)
        return;
    s_check (self, zspool_store_commit (self->store));
    for (size_t index = 0; index < self->blocks_count; index++)
        zspool_block_destroy (&self->blocks [index]);
    self->blocks_count = self->blocks_bytes = 0;
}

//  Append a block of at most so many messages, and keep it until the commit; returns how many
static uint64_t
s_append_block (self_t *self, uint32_t spool, uint64_t count, size_t capacity)
{
    zspool_block_t *block = zspool_block_new (capacity);
    if (!block)
        bench_fail (1, "no memory");
    uint64_t appended = 0;
    int rc = ZSPOOL_OK;
    while (appended < count) {
        uint64_t number = self->number + 1;
        memcpy (self->body, &number, sizeof number);
        zspool_frame_t frame = {self->body, self->size};
        rc = zspool_block_append (block, &frame, 1, (int64_t) time (NULL) * 1000000);
        if (rc)
            break;
        self->number = number;
        appended++;
    }
    if (rc != ZSPOOL_EFULL || appended == 0)
        s_check (self, rc);
    s_check (self, zspool_block_seal (block));
    if (self->blocks_count == 0)
        s_check (self, zspool_store_begin (self->store));
    s_check (self, zspool_store_append (self->store, spool, block));
    self->blocks [self->blocks_count++] = block;
    self->blocks_bytes += zspool_block_size (block);
    return appended;
}

static bool
s_group_is_full (const self_t *self)
{
    return self->blocks_bytes >= GROUP_BYTES || self->blocks_count + SPOOLS > BLOCKS_MAX;
}

static void
s_fill (self_t *self, const options_t *options)
{
    uint32_t spool = s_spool (self, options->name);
    size_t needed = self->size + 8; //  a record of one frame
    size_t capacity = needed > ZSPOOL_BLOCK_BYTES ? needed : ZSPOOL_BLOCK_BYTES;
    for (uint64_t left = options->count; left > 0;) {
        left -= s_append_block (self, spool, left, capacity);
        if (s_group_is_full (self))
            s_commit (self);
    }
    s_commit (self);
}

//  Remove all messages of a spool, some at a time
static void
s_empty (self_t *self, uint32_t spool, uint64_t count)
{
    for (uint64_t sequence = 0; sequence < count;) {
        sequence = count - sequence > TRIM_STEP ? sequence + TRIM_STEP : count;
        s_check (self, zspool_store_begin (self->store));
        s_check (self, zspool_store_trim (self->store, spool, sequence));
        s_check (self, zspool_store_commit (self->store));
    }
}

static void
s_fragment (self_t *self, const options_t *options)
{
    uint32_t spools [SPOOLS];
    for (size_t index = 0; index < SPOOLS; index++) {
        char name [16];
        snprintf (name, sizeof name, "side-%zu", index);
        spools [index] = s_spool (self, name);
    }
    uint64_t rounds = (options->mib << 20) / (SPOOLS * FRAGMENT_PAGES_BYTES);
    for (uint64_t round = 0; round < rounds; round++) {
        for (size_t index = 0; index < SPOOLS; index++)
            s_append_block (self, spools [index], 1, FRAGMENT_BYTES + 8);
        if (s_group_is_full (self))
            s_commit (self);
    }
    s_commit (self);
    for (size_t index = 0; index < SPOOLS; index += 2)
        s_empty (self, spools [index], rounds);
}

int
main (int argc, char **argv)
{
    options_t options = s_options (argc, argv);
    self_t *self = calloc (1, sizeof *self);
    if (!self)
        bench_fail (1, "no memory");
    self->size = options.fragment ? FRAGMENT_BYTES : options.size;
    self->body = malloc (self->size);
    self->store = zspool_store_new (options.directory);
    if (!self->body || !self->store)
        bench_fail (1, "no memory");
    memset (self->body, 'z', self->size);
    int64_t start_ns = bench_now_ns ();
    s_check (self, zspool_store_open (self->store, ZSPOOL_WRITE));
    if (options.fragment)
        s_fragment (self, &options);
    else
        s_fill (self, &options);
    printf ("{\"messages\": %llu, \"file_bytes\": %llu, \"free_bytes\": %llu, \"seconds\": %.6f}\n",
            (unsigned long long) self->number,
            (unsigned long long) zspool_store_file_bytes (self->store),
            (unsigned long long) zspool_store_free_bytes (self->store),
            (double) (bench_now_ns () - start_ns) / 1e9);
    zspool_store_destroy (&self->store);
    free (self->body);
    free (self);
    return 0;
}
