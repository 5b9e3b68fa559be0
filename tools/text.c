//  text.c - prints names that may hold any byte
//
//  SPDX-License-Identifier: MPL-2.0

#include "text.h"

#include <stdio.h>
#include <string.h>

size_t
text_decode (const void *text, size_t text_bytes, uint32_t *code)
{
    static const uint32_t smallest [] = { 0, 0, 0x80, 0x800, 0x10000 };
    const unsigned char *bytes = (const unsigned char *) text;
    if (bytes [0] < 0x80) {
        *code = bytes [0];
        return 1;
    }
    size_t size = bytes [0] >= 0xf0? 4: bytes [0] >= 0xe0? 3: 2;
    if (bytes [0] < 0xc0 || bytes [0] >= 0xf8 || size > text_bytes)
        return 0;
    uint32_t found = bytes [0] & (0x7fU >> size);
    for (size_t index = 1; index < size; index++) {
        if ((bytes [index] & 0xc0) != 0x80)
            return 0;
        found = found << 6 | (bytes [index] & 0x3f);
    }
    if (found < smallest [size] || found > 0x10ffff || (found >= 0xd800 && found <= 0xdfff))
        return 0;
    *code = found;
    return size;
}

bool
text_is_control (uint32_t code)
{
    return code < 0x20 || (code >= 0x7f && code < 0xa0);
}

//  Number of bytes of the character at `name` when it can be shown as it is, otherwise 0.
static size_t
s_printable (const char *name)
{
    uint32_t code;
    size_t size = text_decode (name, strlen (name), &code);
    return size > 0 && !text_is_control (code)? size: 0;
}

void
text_print (const char *name)
{
    while (*name) {
        size_t size = s_printable (name);
        if (size > 0)
            fwrite (name, 1, size, stdout);
        else
            printf ("\\x%02x", (unsigned char) *name);
        name += size > 0? size: 1;
    }
}

size_t
text_width (const char *name)
{
    size_t width = 0;
    while (*name) {
        size_t size = s_printable (name);
        width += size > 0? 1: 4;
        name += size > 0? size: 1;
    }
    return width;
}

void
text_print_json (const char *name)
{
    putchar ('"');
    while (*name) {
        uint32_t code = 0xfffd;
        size_t size = text_decode (name, strlen (name), &code);
        if (size == 0)
            fputs ("\\ufffd", stdout);
        else if (text_is_control (code))
            printf ("\\u%04x", code);
        else {
            if (code == '"' || code == '\\')
                putchar ('\\');
            fwrite (name, 1, size, stdout);
        }
        name += size > 0? size: 1;
    }
    putchar ('"');
}
