//  frames.c - prints the frames of stored messages, whatever bytes they hold
//
//  SPDX-License-Identifier: MPL-2.0

#include "frames.h"
#include "text.h"

#include <stdio.h>
#include <string.h>

#define FRAMES_BASE64_BYTES 384 //  that are encoded at a time; divisible by 3

static int
s_puts (output_t *output, const char *text)
{
    return output_write (output, text, strlen (text));
}

//  Bytes from `data` on that can be printed as they are, in text or in JSON
static size_t
s_plain_bytes (const uint8_t *data, size_t size, bool json)
{
    size_t plain = 0;
    while (plain < size) {
        uint32_t code;
        size_t bytes = text_decode (data + plain, size - plain, &code);
        if (bytes == 0 || text_is_control (code) || code == '\\' || (json && code == '"'))
            break;
        plain += bytes;
    }
    return plain;
}

//  A byte that cannot be printed as it is
static int
s_write_escaped (output_t *output, uint8_t byte)
{
    char text [8];
    switch (byte) {
    case '\t': return s_puts (output, "\\t");
    case '\n': return s_puts (output, "\\n");
    case '\r': return s_puts (output, "\\r");
    case '\\': return s_puts (output, "\\\\");
    default: snprintf (text, sizeof text, "\\x%02x", byte); return s_puts (output, text);
    }
}

int
frames_write_text_bytes (output_t *output, const void *data, size_t size)
{
    const uint8_t *bytes = (const uint8_t *) data;
    while (size > 0) {
        size_t plain = s_plain_bytes (bytes, size, false);
        if (plain > 0 && output_write (output, bytes, plain) != 0)
            return -1;
        if (plain == size)
            break;
        if (s_write_escaped (output, bytes [plain]) != 0)
            return -1;
        bytes += plain + 1;
        size -= plain + 1;
    }
    return 0;
}

static int
s_write_base64 (output_t *output, const uint8_t *data, size_t size)
{
    static const char digits [] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char text [FRAMES_BASE64_BYTES / 3 * 4];
    size_t used = 0;
    for (size_t at = 0; at < size; at += 3) {
        size_t bytes = size - at < 3? size - at: 3;
        uint32_t group = (uint32_t) data [at] << 16;
        group |= bytes > 1? (uint32_t) data [at + 1] << 8: 0;
        group |= bytes > 2? data [at + 2]: 0;
        for (size_t digit = 0; digit < 4; digit++)
            text [used++] = digit <= bytes? digits [group >> (18 - 6 * digit) & 63]: '=';
        if (used == sizeof text) {
            if (output_write (output, text, used) != 0)
                return -1;
            used = 0;
        }
    }
    return output_write (output, text, used);
}

static bool
s_is_utf8 (const uint8_t *data, size_t size)
{
    uint32_t code;
    for (size_t bytes; size > 0; data += bytes, size -= bytes) {
        bytes = text_decode (data, size, &code);
        if (bytes == 0)
            return false;
    }
    return true;
}

//  A string of JSON: what is not plain is one character of it.
static int
s_write_json_string (output_t *output, const uint8_t *data, size_t size)
{
    while (size > 0) {
        size_t plain = s_plain_bytes (data, size, true);
        if (plain > 0 && output_write (output, data, plain) != 0)
            return -1;
        data += plain;
        size -= plain;
        if (size == 0)
            break;
        char text [8];
        uint32_t code = 0;
        size_t bytes = text_decode (data, size, &code);
        if (code == '"' || code == '\\')
            snprintf (text, sizeof text, "\\%c", (char) code);
        else
            snprintf (text, sizeof text, "\\u%04x", code & 0xffff);
        if (s_puts (output, text) != 0)
            return -1;
        data += bytes;
        size -= bytes;
    }
    return 0;
}

int
frames_write_json_bytes (output_t *output, const void *data, size_t size)
{
    const uint8_t *bytes = (const uint8_t *) data;
    bool is_text = s_is_utf8 (bytes, size);
    if (s_puts (output, is_text? "\"": "{\"base64\": \"") != 0
        || (is_text? s_write_json_string (output, bytes, size): s_write_base64 (output, bytes, size)) != 0)
        return -1;
    return s_puts (output, is_text? "\"": "\"}");
}

int
frames_write_text (output_t *output, zspool_record_t *record)
{
    zspool_frame_t frame;
    for (bool first = true; zspool_record_next_frame (record, &frame); first = false)
        if ((!first && s_puts (output, "\t") != 0)
            || frames_write_text_bytes (output, frame.data, frame.size) != 0)
            return -1;
    return 0;
}

int
frames_write_hex (output_t *output, zspool_record_t *record)
{
    zspool_frame_t frame;
    for (bool first = true; zspool_record_next_frame (record, &frame); first = false)
        if ((!first && s_puts (output, " ") != 0)
            || output_write_hex (output, frame.data, frame.size) != 0)
            return -1;
    return 0;
}

int
frames_write_raw (output_t *output, zspool_record_t *record)
{
    return output_write (output, record->data, record->data_bytes);
}

int
frames_write_json (output_t *output, zspool_record_t *record)
{
    zspool_frame_t frame;
    if (s_puts (output, "[") != 0)
        return -1;
    for (bool first = true; zspool_record_next_frame (record, &frame); first = false)
        if ((!first && s_puts (output, ", ") != 0)
            || frames_write_json_bytes (output, frame.data, frame.size) != 0)
            return -1;
    return s_puts (output, "]");
}
