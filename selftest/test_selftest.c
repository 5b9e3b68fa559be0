//  test_selftest.c - tests of what surrounds a test; how verdicts are counted:
//  structure/test_runner.sh
//
//  SPDX-License-Identifier: MPL-2.0

#include "selftest.h"

#include <dirent.h>

TEST (test_selftest_directory_is_own_and_empty)
{
    char *cwd = realpath (".", NULL);
    char *tmpdir = realpath (getenv ("TMPDIR"), NULL);
    CHECK_EQ_STR (cwd, tmpdir);
    size_t entries = 0;
    DIR *directory = opendir (".");
    while (readdir (directory))
        entries++;
    closedir (directory);
    CHECK_EQ_U64 (entries, 2);
    free (tmpdir);
    free (cwd);
}

TEST (test_selftest_process_leads_its_group)
{
    CHECK_EQ_I64 (getpgrp (), getpid ());
}

TEST (test_selftest_free_endpoint_can_be_bound_and_reached)
{
    char *endpoint = selftest_free_endpoint ();
    zsock_t *pull = zsock_new (ZMQ_PULL);
    CHECK (zsock_bind (pull, "%s", endpoint) > 0);
    zsock_t *push = zsock_new_push (endpoint);
    CHECK (push);
    CHECK (zstr_send (push, "hello") == 0);
    selftest_wait_socket (pull);
    char *text = zstr_recv (pull);
    CHECK_EQ_STR (text, "hello");
    zstr_free (&text);
    zsock_destroy (&push);
    zsock_destroy (&pull);
    free (endpoint);
}

TEST (test_selftest_sources_are_found)
{
    char *path = selftest_source_path ("include/zspool.h");
    CHECK (access (path, R_OK) == 0);
    free (path);
}
