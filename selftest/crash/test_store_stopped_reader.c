//  test_store_stopped_reader.c - tests of readers that are stopped, or slow, while the store is
//  written
//
//  SPDX-License-Identifier: MPL-2.0

#include "lib/kit.h"

#include <signal.h>
#include <sys/wait.h>

#define BLOCK_BYTES (1024 * 1024)
#define KEPT 3                         //  blocks in the store at a time
#define ROUNDS 40
#define COMMITS 6                      //  while the reader is stopped
#define MIB (1024 * 1024)

//  Read the oldest block again and again, and tell of each in the pipe.
static void
s_read_on (void *arg)
{
    int to = *(int *) arg;
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_READ);
    zspool_reader_t *reader = zspool_reader_new (store, kit_spool (store, "main"));
    for (;;) {
        zspool_block_t *block = NULL;
        zspool_reader_seek (reader, 1);
        CHECK_OK (zspool_reader_next (reader, &block));
        kit_check_block (block);
        zspool_block_destroy (&block);
        CHECK (write (to, "x", 1) == 1);
    }
}

//  Append a block, and let the oldest go.
static void
s_turn (zspool_store_t *store, uint32_t spool, uint32_t cursor, bool chunked)
{
    CHECK_OK (zspool_store_begin (store));
    store->chunked = chunked;
    CHECK_OK (kit_try_append (store, spool, 1, BLOCK_BYTES));
    uint64_t last = store->spools [0].now.last_sequence;
    if (last > KEPT)
        CHECK_OK (zspool_store_ack (store, spool, cursor, last - KEPT, last - KEPT));
    CHECK_OK (zspool_store_commit (store));
}

//  Stop the reader somewhere, wherever that is, and let it go on. Says whether it held back space.
static bool
s_stop_and_turn (zspool_store_t *store, uint32_t spool, uint32_t cursor, bool chunked, pid_t reader,
                 kit_chance_t *chance)
{
    int status;
    int64_t process, until_us = zspool_now_us () + (int64_t) kit_below (chance, 3000);
    while (zspool_now_us () < until_us)
        ;
    CHECK (kill (reader, SIGSTOP) == 0);
    CHECK (waitpid (reader, &status, WUNTRACED) == reader && WIFSTOPPED (status));
    for (int commit = 0; commit < COMMITS; commit++)
        s_turn (store, spool, cursor, chunked);
    bool held = zspool_store_oldest_reader (store, &process) >= COMMITS;
    if (held)
        CHECK_EQ_I64 (process, reader);
    CHECK (kill (reader, SIGCONT) == 0);
    return held;
}

static void
s_check_stopped_reader (bool chunked)
{
    int pipes [2], held = 0;
    char byte;
    kit_chance_t chance = kit_chance_new ();
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    uint32_t spool = kit_spool (store, "main"), cursor = kit_cursor (store, spool, "main", 1);
    s_turn (store, spool, cursor, chunked);
    CHECK (pipe (pipes) == 0);
    pid_t reader = kit_fork (s_read_on, &pipes [1]);
    close (pipes [1]);
    for (int round = 0; round < ROUNDS; round++) {
        CHECK (read (pipes [0], &byte, 1) == 1);
        held += s_stop_and_turn (store, spool, cursor, chunked, reader, &chance);
    }
    //  Whatever was overwritten under its hands, it goes on.
    CHECK (read (pipes [0], &byte, 1) == 1);
    CHECK (kill (reader, SIGKILL) == 0);
    CHECK_EQ_I64 (kit_wait (reader), -SIGKILL);
    close (pipes [0]);
    printf ("held back space in %d of %d rounds, file %llu KiB\n", held, ROUNDS,
            (unsigned long long) zspool_store_file_bytes (store) / 1024);
    CHECK (held < ROUNDS / 8);
    kit_check_sound (store);
    zspool_store_destroy (&store);
}

TEST (test_store_reader_stopped_anywhere_holds_back_no_space)
{
    s_check_stopped_reader (false);
}

TEST (test_store_reader_of_chunks_stopped_anywhere_holds_back_no_space)
{
    s_check_stopped_reader (true);
}

//  A view that is held is told of, with whose it is.
static void
s_hold_view (void *arg)
{
    int *pipes = (int *) arg;
    char byte;
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_READ);
    CHECK_OK (zspool_view_take (store->view));
    CHECK (write (pipes [1], "x", 1) == 1);
    //  Ends when the parent's end of the other pipe is closed.
    CHECK (read (pipes [2], &byte, 1) == 0);
    zspool_view_release (store->view);
    zspool_store_destroy (&store);
}

TEST (test_store_oldest_reader_is_told_of)
{
    int there [2], back [2];
    char byte;
    int64_t process = -1;
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    uint32_t spool = kit_spool (store, "main");
    CHECK_EQ_U64 (zspool_store_oldest_reader (store, &process), 0);
    CHECK_EQ_I64 (process, 0);
    CHECK (pipe (there) == 0 && pipe (back) == 0);
    int pipes [] = { there [0], there [1], back [0], back [1] };
    pid_t pid = fork ();
    if (pid == 0) {
        close (back [1]);
        s_hold_view (pipes);
        _exit (0);
    }
    CHECK (read (there [0], &byte, 1) == 1);
    for (uint64_t commits = 0; commits < 5; commits++) {
        CHECK_EQ_U64 (zspool_store_oldest_reader (store, &process), commits);
        CHECK_EQ_I64 (process, pid);
        kit_append (store, spool, 10, 100);
    }
    zspool_store_t *other = zspool_store_new ("none");
    CHECK_EQ_U64 (zspool_store_oldest_reader (other, &process), 0);
    zspool_store_destroy (&other);
    close (back [1]);
    CHECK_EQ_I64 (kit_wait (pid), 0);
    CHECK_EQ_U64 (zspool_store_oldest_reader (store, &process), 0);
    CHECK_EQ_I64 (process, 0);
    zspool_store_destroy (&store);
}
