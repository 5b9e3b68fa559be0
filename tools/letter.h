//  letter.h - prints dead letters
//
//  SPDX-License-Identifier: MPL-2.0
//
//  All functions give -1 when the output fails.

#ifndef LETTER_H_INCLUDED
#define LETTER_H_INCLUDED

#include "output.h"
#include "zspool.h"

//  A letter as a row of a list, and the row that heads it
int
    letter_write_head (output_t *output);
int
    letter_write_line (output_t *output, const zspool_letter_t *letter);

//  All that is known of a letter, and its frames
int
    letter_write_text (output_t *output, zspool_letter_t *letter);

//  What a message has behind it, as members of a JSON object: deaths, spool, history
int
    letter_write_json_history (output_t *output, const zspool_history_t *history);

//  All of a letter as a JSON object on a line, with or without the frames
int
    letter_write_json (output_t *output, zspool_letter_t *letter, bool frames);

#endif
