//  test_fuzz.c - replays what the fuzzers of blocks, runs and ZSP have found
//
//  SPDX-License-Identifier: MPL-2.0

#include "fuzz_block.h"
#include "fuzz_run.h"
#include "fuzz_zsp.h"
#include "selftest.h"

#include <dirent.h>

#define INPUT_BYTES_MAX 65536

typedef int (s_fuzz_fn) (const uint8_t *data, size_t size);

static void
s_replay_file (s_fuzz_fn *fuzz, const char *path)
{
    static uint8_t input [INPUT_BYTES_MAX];
    FILE *file = fopen (path, "r");
    CHECK (file);
    size_t size = fread (input, 1, sizeof input, file);
    fclose (file);
    //  In memory of its exact size, so that the address sanitizer sees one read too many
    uint8_t *exactly = (uint8_t *) malloc (size? size: 1);
    CHECK (exactly);
    memcpy (exactly, input, size);
    CHECK (fuzz (exactly, size) == 0);
    free (exactly);
}

static void
s_replay (s_fuzz_fn *fuzz, const char *corpus)
{
    char *folder = selftest_source_path (corpus);
    DIR *directory = opendir (folder);
    CHECK (directory);
    size_t count = 0;
    struct dirent *entry;
    while ((entry = readdir (directory)))
        if (entry->d_name [0] != '.') {
            char *path = zsys_sprintf ("%s/%s", folder, entry->d_name);
            s_replay_file (fuzz, path);
            free (path);
            count++;
        }
    closedir (directory);
    free (folder);
    CHECK (count > 0);
}

TEST (test_fuzz_block_corpus_is_decoded_or_refused)
{
    s_replay (LLVMFuzzerTestOneInput, "selftest/fuzz/corpus");
}

TEST (test_fuzz_run_corpus_is_accepted_or_refused_as_another_reader_does)
{
    s_replay (fuzz_run, "selftest/fuzz/corpus_run");
}

TEST (test_fuzz_zsp_corpus_is_decoded_or_refused)
{
    s_replay (fuzz_zsp, "selftest/fuzz/corpus_zsp");
}
