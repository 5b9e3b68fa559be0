//  fuzz_block.h - feeds any bytes to the block's decoder, and uses what it accepts
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef FUZZ_BLOCK_H_INCLUDED
#define FUZZ_BLOCK_H_INCLUDED

#include <stddef.h>
#include <stdint.h>

//  Use one input; ends the process when something does not hold. Returns 0. The name is the
//  fuzzer's.
int
    LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

#endif
