//  test_block_pool.c - tests of the fixed set of blocks that are used again
//
//  SPDX-License-Identifier: MPL-2.0

#include "kit.h"

#include <pthread.h>

#define CAPACITY 1000

static zspool_block_pool_t *
s_new (size_t blocks)
{
    zspool_block_pool_t *pool = zspool_block_pool_new (blocks, CAPACITY);
    CHECK (pool);
    return pool;
}

TEST (test_block_pool_destroy_of_null_does_nothing)
{
    zspool_block_pool_t *pool = NULL;
    zspool_block_pool_destroy (&pool);
}

TEST (test_block_pool_exhausted_gives_null)
{
    zspool_block_pool_t *pool = s_new (2);
    zspool_block_t *first = zspool_block_pool_take (pool, CAPACITY);
    zspool_block_t *second = zspool_block_pool_take (pool, 1);
    CHECK (first && second && first != second);
    CHECK (zspool_block_pool_take (pool, 1) == NULL);
    zspool_block_destroy (&first);
    first = zspool_block_pool_take (pool, 1);
    CHECK (first);
    CHECK (zspool_block_pool_take (pool, 1) == NULL);
    zspool_block_destroy (&first);
    zspool_block_destroy (&second);
    zspool_block_pool_destroy (&pool);
    CHECK (pool == NULL);
}

TEST (test_block_pool_of_no_blocks_gives_null)
{
    zspool_block_pool_t *pool = s_new (0);
    CHECK (zspool_block_pool_take (pool, 1) == NULL);
    zspool_block_pool_destroy (&pool);
}

TEST (test_block_pool_gives_a_block_back_as_new)
{
    zspool_block_pool_t *pool = s_new (1);
    zspool_block_t *block = zspool_block_pool_take (pool, 1);
    const zspool_block_t *same = block;
    CHECK_OK (zspool_block_append_frame (block, "hello", 5, 1));
    CHECK_OK (zspool_block_seal (block));
    zspool_block_stamp (block, 7, 8, 9);
    zspool_block_destroy (&block);
    block = zspool_block_pool_take (pool, 1);
    CHECK (block == same);
    CHECK (zspool_block_bytes (block) == NULL);
    CHECK_EQ_U64 (zspool_block_count (block), 0);
    CHECK_EQ_U64 (zspool_block_used (block), 0);
    CHECK_EQ_U64 (zspool_block_first_sequence (block), 0);
    CHECK_EQ_U64 (zspool_block_capacity (block), CAPACITY);
    zspool_block_destroy (&block);
    zspool_block_pool_destroy (&pool);
}

TEST (test_block_pool_gives_a_referenced_block_to_nobody)
{
    zspool_block_pool_t *pool = s_new (1);
    zspool_block_t *block = zspool_block_pool_take (pool, 1);
    zspool_block_t *other = zspool_block_ref (block);
    zspool_block_destroy (&block);
    CHECK (zspool_block_pool_take (pool, 1) == NULL);
    zspool_block_destroy (&other);
    block = zspool_block_pool_take (pool, 1);
    CHECK (block);
    zspool_block_destroy (&block);
    zspool_block_pool_destroy (&pool);
}

TEST (test_block_pool_larger_block_comes_from_the_heap)
{
    zspool_block_pool_t *pool = s_new (1);
    zspool_block_t *block = zspool_block_pool_take (pool, 1);
    zspool_block_t *larger = zspool_block_pool_take (pool, CAPACITY + 1);
    CHECK (larger && zspool_block_capacity (larger) >= CAPACITY + 1);
    zspool_block_destroy (&larger);
    CHECK (zspool_block_pool_take (pool, ZSPOOL_BLOCK_CAPACITY_MAX + 1) == NULL);
    zspool_block_destroy (&block);
    zspool_block_pool_destroy (&pool);
}

TEST (test_block_pool_destroyed_leaves_blocks_that_are_out)
{
    zspool_block_pool_t *pool = s_new (3);
    zspool_block_t *block = zspool_block_pool_take (pool, 1);
    zspool_block_t *free_block = zspool_block_pool_take (pool, 1);
    zspool_block_destroy (&free_block);
    CHECK_OK (zspool_block_append_frame (block, "hello", 5, 1));
    CHECK_OK (zspool_block_seal (block));
    zspool_block_pool_destroy (&pool);
    zspool_record_t record;
    zspool_block_rewind (block, &record);
    CHECK (zspool_block_next (block, &record));
    CHECK_EQ_MEM (record.data, record.data_bytes, "hello", 5);
    zspool_block_destroy (&block);
}

//  Drop the reference that comes through a pipe, until the pipe is closed.
static void *
s_drop_blocks (void *arg)
{
    int input = *(int *) arg;
    zspool_block_t *block;
    while (read (input, &block, sizeof block) == sizeof block)
        zspool_block_destroy (&block);
    return NULL;
}

TEST (test_block_pool_last_reference_dropped_in_another_thread_after_the_pool)
{
    int ends [2];
    pthread_t thread;
    CHECK (pipe (ends) == 0);
    CHECK (pthread_create (&thread, NULL, s_drop_blocks, &ends [0]) == 0);
    zspool_block_pool_t *pool = s_new (2);
    zspool_block_t *blocks [2];
    for (int index = 0; index < 2; index++)
        blocks [index] = zspool_block_pool_take (pool, 1);
    zspool_block_pool_destroy (&pool);
    for (int index = 0; index < 2; index++)
        CHECK (write (ends [1], &blocks [index], sizeof blocks [index]) == sizeof blocks [index]);
    close (ends [1]);
    CHECK (pthread_join (thread, NULL) == 0);
}

TEST (test_block_pool_blocks_that_return_from_another_thread_serve_again)
{
    int ends [2];
    pthread_t thread;
    CHECK (pipe (ends) == 0);
    CHECK (pthread_create (&thread, NULL, s_drop_blocks, &ends [0]) == 0);
    zspool_block_pool_t *pool = s_new (4);
    for (uint64_t number = 1; number <= 20000; number++) {
        zspool_block_t *block;
        while (!(block = zspool_block_pool_take (pool, 8)))
            sched_yield ();
        uint8_t message [KIT_MESSAGE_BYTES_MIN];
        kit_fill (message, sizeof message, number);
        CHECK_OK (zspool_block_append_frame (block, message, sizeof message, 1));
        CHECK_OK (zspool_block_seal (block));
        zspool_block_stamp (block, number, 1, 1);
        zspool_block_t *other = zspool_block_ref (block);
        CHECK (write (ends [1], &other, sizeof other) == sizeof other);
        kit_check_block (block);
        zspool_block_destroy (&block);
    }
    zspool_block_pool_destroy (&pool);
    close (ends [1]);
    CHECK (pthread_join (thread, NULL) == 0);
}
