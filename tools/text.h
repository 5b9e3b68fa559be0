//  text.h - prints names that may hold any byte, so that neither a terminal nor a JSON reader is
//  harmed
//
//  SPDX-License-Identifier: MPL-2.0
//
//  Names of spools, cursors and files are bytes, mostly but not always UTF-8.

#ifndef TEXT_H_INCLUDED
#define TEXT_H_INCLUDED

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

//  Decode the character at `text`, of which there are so many bytes, at least 1: store its code and
//  return its bytes, or return 0 when it is not UTF-8 (overlong forms, surrogates and codes above
//  U+10FFFF are not).
size_t
    text_decode (const void *text, size_t text_bytes, uint32_t *code);

//  Control characters of ASCII and of Latin 1
bool
    text_is_control (uint32_t code);

//  Print a name on standard output; control characters and bytes that are not UTF-8 as \xHH.
void
    text_print (const char *name);

//  How many columns text_print () fills, each character counted as one.
size_t
    text_width (const char *name);

//  Print a name as a JSON string, quotes included; bytes that are not UTF-8 become U+FFFD.
void
    text_print_json (const char *name);

#endif
