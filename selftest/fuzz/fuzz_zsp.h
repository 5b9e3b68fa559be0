//  fuzz_zsp.h - feeds any bytes to ZSP's decoder, and uses what it accepts
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef FUZZ_ZSP_H_INCLUDED
#define FUZZ_ZSP_H_INCLUDED

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

//  Use one input; ends the process when something does not hold. Returns 0.
int
    fuzz_zsp (const uint8_t *data, size_t size);

//  Decode a command frame. When it is accepted, read all that it has, and encode it again: that must
//  give the same bytes. Returns whether it was accepted.
bool
    fuzz_zsp_frame (const uint8_t *bytes, size_t size);

#endif
