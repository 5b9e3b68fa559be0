//  test_fuzz_block.c - replays what the fuzzer of blocks has found
//
//  SPDX-License-Identifier: MPL-2.0

#include "fuzz_block.h"
#include "selftest.h"

#include <dirent.h>

#define INPUT_BYTES_MAX 65536

static size_t
s_replay (const char *path)
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
    CHECK (LLVMFuzzerTestOneInput (exactly, size) == 0);
    free (exactly);
    return 1;
}

TEST (test_fuzz_block_corpus_is_decoded_or_refused)
{
    char *folder = selftest_source_path ("selftest/fuzz/corpus");
    DIR *directory = opendir (folder);
    CHECK (directory);
    size_t count = 0;
    struct dirent *entry;
    while ((entry = readdir (directory)))
        if (entry->d_name [0] != '.') {
            char *path = zsys_sprintf ("%s/%s", folder, entry->d_name);
            count += s_replay (path);
            free (path);
        }
    closedir (directory);
    free (folder);
    CHECK (count > 0);
}
