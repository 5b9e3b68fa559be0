//  frames.h - prints the frames of stored messages, whatever bytes they hold
//
//  SPDX-License-Identifier: MPL-2.0
//
//  All functions give -1 when the output fails.

#ifndef FRAMES_H_INCLUDED
#define FRAMES_H_INCLUDED

#include "output.h"
#include "zspool_block.h"

//  A string as a quoted one of JSON, or when it is not UTF-8 as {"base64": "..."}.
int
    frames_write_json_bytes (output_t *output, const void *data, size_t size);

//  A string as the frames of frames_write_text () are printed.
int
    frames_write_text_bytes (output_t *output, const void *data, size_t size);

//  The frames of a message, of which none has been taken: escaped so that the message is one line
//  of text with tabs between frames, each byte of it to be told (\t \n \r \\ and \xHH); as
//  hexadecimal digits with blanks between; as they are; or as an array of JSON.
int
    frames_write_text (output_t *output, zspool_record_t *record);
int
    frames_write_hex (output_t *output, zspool_record_t *record);
int
    frames_write_raw (output_t *output, zspool_record_t *record);
int
    frames_write_json (output_t *output, zspool_record_t *record);

#endif
